import { randomUUID } from 'node:crypto';
import type { Behaviour } from './behaviour';
import type { Json, Message, OutputItem } from './documents';
import type { Chunk } from './upstream';

/** A reply as it grows, and what each release makes of it in the message. */
export class Reply {
  text: string;
  usage: Json | undefined;
  readonly #messageItem = `msg_${itemId()}`;
  readonly #reasoningItem = `r_${itemId()}`;
  #reasoning = '';
  #startedAt = Date.now() / 1000;
  #reasonedUntil: number | undefined;

  /** `before` is what the message already held: a finished message triggered again is written on. */
  constructor(
    private readonly is: Behaviour,
    before: string,
  ) {
    this.text = before;
  }

  get messageItem(): string {
    return this.#messageItem;
  }

  get outputIndex(): number {
    return this.#reasoning === '' ? 0 : 1;
  }

  take(chunk: Chunk): { text: string } {
    const delta = chunk.choices?.[0]?.delta;
    if (delta?.reasoning_content) {
      if (this.#reasoning === '') this.#startedAt = Date.now() / 1000;
      this.#reasoning += delta.reasoning_content;
    }
    if (delta?.content) {
      this.#reasonedUntil ??= Date.now() / 1000;
      this.text += delta.content;
    }
    if (chunk.usage) this.usage = this.#usageOf(chunk.usage);
    return { text: delta?.content ?? '' };
  }

  content(): string {
    if (this.is.contentFromOutput || this.#reasoning === '') return this.text;
    const quoted = `${this.is.reasoningEscaped ? '&gt;' : '>'} ${this.#reasoning}`;
    const summary = '<summary>Thought for 0 seconds</summary>';
    return `<details type="reasoning" done="true" duration="0">\n${summary}\n${quoted}\n</details>\n${this.text}`;
  }

  output(status: string): OutputItem[] {
    const content = (text: string) => [{ type: 'output_text', text }];
    const items: OutputItem[] = [];
    if (this.#reasoning !== '') {
      items.push({
        type: 'reasoning',
        id: this.#reasoningItem,
        status: 'completed',
        start_tag: '<think>',
        end_tag: '</think>',
        attributes: { type: 'reasoning_content' },
        content: content(this.#reasoning),
        summary: null,
        started_at: this.#startedAt,
        ended_at: this.#reasonedUntil ?? Date.now() / 1000,
        duration: 0,
      });
    }
    if (this.text !== '') {
      items.push({ type: 'message', id: this.#messageItem, status, role: 'assistant', content: content(this.text) });
    }
    return items;
  }

  /** What is written when the model has come to its end. */
  finished(): Message {
    return {
      ...(!this.is.textOnlyInOutput && { content: this.content() }),
      ...(this.is.doneOnSuccess && { done: true }),
      ...(this.is.outputKept && { output: this.output('completed') }),
      ...(this.is.outputKept && this.usage && { usage: this.usage }),
    };
  }

  /** What is written when somebody stopped it. */
  stopped(): Message {
    return {
      ...(!this.is.textOnlyInOutput && { content: this.content() }),
      ...(this.is.doneOnSuccess && { done: true }),
      ...(this.is.outputKept && { output: this.output(this.is.stoppedIsIncomplete ? 'incomplete' : 'in_progress') }),
    };
  }

  /** What a reader sees meanwhile, where the release shows it. */
  partial(): Message {
    return { content: this.content(), output: this.output('in_progress'), done: false };
  }

  #usageOf(usage: Record<string, number>): Json {
    if (!this.is.outputKept) return usage;
    return { ...usage, input_tokens: usage['prompt_tokens'], output_tokens: usage['completion_tokens'] };
  }
}

function itemId(): string {
  return randomUUID().replaceAll('-', '').slice(0, 24);
}
