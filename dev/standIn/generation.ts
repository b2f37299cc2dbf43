import { setTimeout as sleep } from 'node:timers/promises';
import { afterReply, type BackgroundTasks } from './afterReply';
import { textOf, type ChatRecord, type Json, type Message } from './documents';
import { writeMessage } from './history';
import { Reply } from './reply';
import type { Retrieved } from './retrieval';
import type { Task } from './taskList';
import { askModel, StreamLost, type Answer, type Chunk, type Refusal, type UpstreamMessage } from './upstream';
import type { World } from './world';

export interface GenerationRequest {
  userId: string;
  chatId: string;
  messageId: string;
  userMessageId: string | undefined;
  model: string;
  messages: UpstreamMessage[];
  /** What else goes to the model: parameters, tools, and keys that the release does not know. */
  parameters: Json;
  backgroundTasks: BackgroundTasks;
  retrieve: (signal: AbortSignal) => Promise<Retrieved | undefined>;
}

/** One run of the model for one assistant message: asks, streams, tells the sockets, writes the message. */
export class Generation {
  reply: Reply;

  constructor(
    private readonly world: World,
    readonly request: GenerationRequest,
  ) {
    const message = this.chat?.chat.history?.messages?.[request.messageId];
    this.reply = new Reply(world.is, message ? textOf(message) : '');
  }

  /** The chat may be deleted at any time, or never have been there; then the generation runs on for nobody. */
  get chat(): ChatRecord | undefined {
    return this.world.documents.chats.get(this.request.chatId);
  }

  write(fields: Message): void {
    if (this.chat) writeMessage(this.chat, this.request.messageId, fields, this.world.is);
  }

  async ask(signal: AbortSignal): Promise<Answer> {
    const { model, parameters, retrieve } = this.request;
    const retrieved = await retrieve(signal);
    if (retrieved?.status) this.write({ statusHistory: retrieved.status });
    if (retrieved) this.write({ sources: retrieved.sources });
    const messages = retrieved?.messages ?? this.request.messages;
    return askModel(this.world, { ...parameters, model, messages }, signal);
  }

  /** Everything from the question to the last background task; `asked` is the answer where it was awaited before. */
  async run(task: Task, asked?: Answer): Promise<void> {
    const { is } = this.world;
    try {
      if (is.listEvent) this.#emitList(this.request.userMessageId ?? null);
      if (is.activeEvent) this.#emitActive(true);
      const trouble = this.world.troubles.shift();
      if (trouble !== undefined) return this.#tellError(trouble);
      const answer = asked ?? (await this.ask(task.signal));
      if ('refusal' in answer) return this.#refuse(answer.refusal);
      await this.#stream(answer.chunks, task);
    } catch (error) {
      await this.#interrupted(error, task);
    } finally {
      this.world.partials.delete(this.request.chatId, this.request.messageId);
      if (is.activeEvent && task.signal.reason !== 'killed') this.#emitActive(false);
    }
  }

  emit(type: string, data?: unknown, messageId: string | null = this.request.messageId): void {
    const event = { chat_id: this.request.chatId, message_id: messageId };
    if (this.world.isDeafTo(this.request.chatId)) return;
    this.world.sockets.emit(this.request.userId, { ...event, data: data === undefined ? { type } : { type, data } });
  }

  /** Writes a failure into the message; where it is an HTTP answer besides, the caller gives that. */
  fail(content: unknown): void {
    this.write({ error: { content }, ...(this.world.is.doneOnError && { done: true }) });
  }

  async #stream(chunks: AsyncIterable<Chunk>, task: Task): Promise<void> {
    const { is } = this.world;
    let failure: unknown;
    for await (const chunk of chunks) {
      if (task.signal.aborted) throw new Error('interrupted');
      if (chunk.error !== undefined) failure = chunk.error;
      const { text } = this.reply.take(chunk);
      this.world.partials.set(this.request.chatId, this.request.messageId, this.reply.partial());
      this.#emitChunk(chunk, text);
    }
    // A stop may come when the last chunk was read and the loop has ended.
    if (task.signal.aborted) throw new Error('interrupted');
    this.write(this.reply.finished());
    if (failure !== undefined && is.streamErrorKept) this.fail(failure);
    this.world.partials.delete(this.request.chatId, this.request.messageId);
    if (is.listEvent) this.#emitList(this.request.messageId);
    this.#emitDone();
    await this.#runOutlet(task);
    await afterReply(this.world, this, task.signal);
  }

  async #interrupted(error: unknown, task: Task): Promise<void> {
    const { is } = this.world;
    if (task.signal.reason === 'killed') return;
    if (task.signal.reason === 'stopped') {
      this.write(this.reply.stopped());
      this.emit(is.cancelEventRenamed ? 'chat:tasks:cancel' : 'task-cancelled');
    } else if (error instanceof StreamLost) {
      if (is.cutIsError) this.#tellError(error.message);
    } else {
      throw error;
    }
  }

  #refuse(refusal: Refusal): void {
    if (!refusal.error && this.world.is.errorWithoutJsonLost) return;
    const message = refusal.error?.message ?? refusal.text;
    this.#tellError(this.world.is.errorIsText ? message : (refusal.error ?? message));
  }

  #tellError(content: unknown): void {
    const { is } = this.world;
    this.fail(content);
    if (is.errorEvent) {
      this.emit('chat:message:error', { error: { content }, ...(is.doneOnError && { done: true }) });
    }
    if (is.errorCancels) this.emit('chat:tasks:cancel');
  }

  /** An installed outlet filter works on the stored reply, after it was marked as done. */
  async #runOutlet(task: Task): Promise<void> {
    const { outlet, outletTime, is } = this.world;
    if (is.outletEvent) this.emit('chat:outlet', { messages: [] });
    if (!outlet || !is.outletInline) return;
    await sleep(outletTime, undefined, { signal: task.signal });
    // Filters are shown `content`, which is empty where the text is kept in `output` only.
    const before = is.textOnlyInOutput ? '' : this.reply.content();
    this.write({ content: outlet(before), originalContent: before });
  }

  #emitChunk(chunk: Chunk, text: string): void {
    const { is } = this.world;
    if (text !== '') this.#emitText(text);
    if (chunk.usage && is.usageEvent) this.emit('chat:completion', { usage: this.reply.usage });
    if (chunk.usage) this.emit('chat:completion', chunk);
  }

  #emitText(delta: string): void {
    const { is } = this.world;
    const { messageItem, outputIndex } = this.reply;
    if (is.deltaEvents) {
      const place = { item_id: messageItem, output_index: outputIndex, content_index: 0 };
      this.emit('response:completion', { type: 'response.output_text.delta', ...place, delta });
    } else if (is.textOnlyInOutput || is.contentFromOutput) {
      this.emit('chat:completion', { output: this.reply.output('in_progress') });
    } else {
      this.emit('chat:completion', { content: this.reply.content() });
    }
  }

  #emitDone(): void {
    const { is } = this.world;
    this.emit('chat:completion', {
      done: true,
      ...(!is.textOnlyInOutput && !is.contentFromOutput && { content: this.reply.content() }),
      ...(is.outputKept && { output: this.reply.output('completed') }),
      title: this.chat?.title ?? null,
      ...(is.writesTurn && { usage: this.reply.usage }),
    });
  }

  #emitActive(active: boolean): void {
    const folder = this.world.is.listEvent ? { folder_id: this.chat?.folderId ?? null } : {};
    this.emit('chat:active', { active, ...folder });
  }

  #emitList(messageId: string | null): void {
    this.emit('chat:list', { chat_id: this.request.chatId, folder_id: this.chat?.folderId ?? null }, messageId);
  }
}
