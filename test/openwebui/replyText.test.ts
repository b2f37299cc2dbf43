import { replyText } from '../../src/openwebui/replyText';
import type { Message } from '../../src/openwebui/schemas';
import { RELEASES, momentsOf } from './recordings';

const PARIS = 'The capital of France is Paris. It lies on the Seine and has been the capital since the tenth century.';

function recordedReply(release: string, scenario: string): Message {
  const moment = momentsOf(release, scenario).at(-1);
  const message = moment?.chat.chat.history?.messages[moment.answers[0] ?? ''];
  if (message === undefined) throw new Error(`${release} has no ${scenario}`);
  return message;
}

function block(type: string, body: string, attributes = 'done="true" duration="0"'): string {
  return `<details type="${type}" ${attributes}>\n<summary>Thought for 0 seconds</summary>\n${body}\n</details>\n`;
}

describe.each(RELEASES)('the text of a reply of Open WebUI %s', (release) => {
  it('is the same as on every other release', () => {
    expect(replyText(recordedReply(release, 'reply'))).toEqual({ content: PARIS, hasToolCalls: false });
  });

  it('is told from its reasoning', () => {
    const reply = { content: PARIS, reasoning: 'Let me think about it.', hasToolCalls: false };
    expect(replyText(recordedReply(release, 'reasoning-reply'))).toEqual(reply);
  });

  it('keeps its code fence', () => {
    const json = '```json\n{"result":"The capital of France is Paris.","confidence":0.99}\n```';
    expect(replyText(recordedReply(release, 'json-reply')).content).toBe(json);
  });

  it('is blank where the model said nothing', () => {
    expect(replyText(recordedReply(release, 'empty-reply'))).toEqual({ content: '', hasToolCalls: false });
  });

  it('is what had been written when it was stopped', () => {
    expect(replyText(recordedReply(release, 'stopped')).content).toBe('The capital of France is Paris. It lies');
  });
});

describe('a reply', () => {
  it('is found in output where content is blank', () => {
    const output = [
      { type: 'message', content: [{ type: 'output_text', text: 'One ' }, { text: 'two' }] },
      { type: 'function_call', name: 'look_up' },
      { type: 'message', content: [{ type: 'output_text', text: ' \n' }] },
      { type: 'message', content: 'Three' },
    ];
    expect(replyText({ content: '', output })).toEqual({ content: 'One two\nThree', hasToolCalls: true });
  });

  it('is content, which outlet filters change, rather than output', () => {
    const output = [{ type: 'message', content: [{ text: 'raw' }] }];
    expect(replyText({ content: 'filtered', output }).content).toBe('filtered');
  });

  it('is joined from the parts of a content that is a list', () => {
    const content = ['a', { type: 'text', text: 'b' }, { type: 'image_url', image_url: {} }, null];
    expect(replyText({ content }).content).toBe('ab');
  });

  it('is blank, with tool calls, where the model only called tools', () => {
    const blank = { content: '', hasToolCalls: true };
    expect(replyText({ content: '', output: [{ type: 'function_call', status: 'completed' }] })).toEqual(blank);
    expect(replyText({ content: '', output: [{ type: 'open_webui:code_interpreter' }] })).toEqual(blank);
    expect(replyText({ content: block('tool_calls', '', 'done="true" id="1" arguments="&quot;{}&quot;"') })).toEqual(
      blank,
    );
    expect(replyText({ content: block('code_interpreter', '```py\nprint(1)\n```') })).toEqual(blank);
  });

  it('loses its tool and reasoning blocks in the middle too', () => {
    const content = `${block('reasoning', '> first')}One\n${block('tool_calls', '')}\n${block('reasoning', '> second')}Two`;
    expect(replyText({ content })).toEqual({
      content: 'One\nTwo',
      reasoning: 'first\n\nsecond',
      hasToolCalls: true,
    });
  });

  it('is blank where the model only thought', () => {
    const reply = { content: '', reasoning: 'Hm.', hasToolCalls: false };
    expect(replyText({ content: block('reasoning', '> Hm.') })).toEqual(reply);
    expect(replyText({ content: '', output: [{ type: 'reasoning', summary: [{ text: 'Hm.' }] }] })).toEqual(reply);
  });

  it.each([
    ['a block of another kind', '<details type="note">\nx\n</details>\nText'],
    ['a block quoted in the middle of a line', 'Write <details type="reasoning">x</details> here'],
    ['a block in a code fence', 'See:\n```html\n<details type="reasoning" done="true">\nx\n</details>\n```\nDone'],
    ['a block in an indented fence', '1. So:\n   ~~~\n<details type="reasoning">\nx\n</details>\n   ~~~\nDone'],
    ['a block without an end', '<details type="reasoning" done="false">\n<summary>Thinking…</summary>\n> x'],
    ['an open fence', 'See:\n```\n<details type="reasoning">\nx\n</details>'],
  ])('keeps %s', (_name, content) => {
    expect(replyText({ content })).toEqual({ content, hasToolCalls: false });
  });

  it('is trimmed', () => {
    expect(replyText({ content: '\n\n Paris \n' }).content).toBe('Paris');
  });

  it('of nothing is blank', () => {
    expect(replyText({})).toEqual({ content: '', hasToolCalls: false });
    expect(replyText({ content: null, output: null })).toEqual({ content: '', hasToolCalls: false });
  });
});

describe('reasoning', () => {
  it('is freed of quote marks and escapes', () => {
    const content = `${block('reasoning', '&gt; a &lt; b &amp;amp; c\n&gt; &quot;d&quot; &#x27;e&#x27;\n&gt; \n&gt; f')}Text`;
    expect(replyText({ content }).reasoning).toBe('a < b &amp; c\n"d" \'e\'\n\nf');
  });

  it('keeps what looks like an escape where the server does not escape', () => {
    const content = `${block('reasoning', '> use &lt; in HTML')}Text`;
    expect(replyText({ content }).reasoning).toBe('use &lt; in HTML');
  });

  it('may hold a code fence without harm to the text', () => {
    const content = `${block('reasoning', '> try\n> ```js\n> open')}Text`;
    expect(replyText({ content })).toEqual({ content: 'Text', reasoning: 'try\n```js\nopen', hasToolCalls: false });
  });
});

it('reads a megabyte of half-made blocks in linear time', () => {
  const started = performance.now();
  for (const piece of ['<details type="reasoning"', '<details type="reasoning">\n', '```\n', '\n~~~\n```', '&gt; ']) {
    replyText({ content: piece.repeat(Math.ceil(1_000_000 / piece.length)) });
  }
  expect(performance.now() - started).toBeLessThan(10_000);
});

it('takes the end of its reasoning from the server, not from what the model thought', () => {
  const content = `${block('reasoning', '> I close it with </details> here.\n> </details>')}Done.`;
  expect(replyText({ content })).toEqual({
    content: 'Done.',
    reasoning: 'I close it with </details> here.\n</details>',
    hasToolCalls: false,
  });
});
