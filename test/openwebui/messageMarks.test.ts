import { hasBegun, hasOpenStep, lengthOf } from '../../src/openwebui/messageMarks';
import type { Message } from '../../src/openwebui/schemas';

const item = (type: string, more: object = {}) => ({ type, status: 'completed', ...more });
const text = (written: string) => [{ type: 'output_text', text: written }];

describe('a message whose model may be silent and at work', () => {
  it.each<[string, Message]>([
    ['has a tool call without an answer', { output: [item('function_call', { call_id: 'a' })] }],
    ['runs code', { output: [item('open_webui:code_interpreter', { status: 'in_progress' })] }],
    ['waits for a person', { output: [item('function_call', { call_id: 'a', status: 'requires_approval' })] }],
    ['has a status that is not done', { statusHistory: [{ done: true }, { action: 'web_search', done: false }] }],
    [
      'has a block of an open tool call in its text',
      { content: 'Let me see.\n<details type="tool_calls" done="false" id="a">' },
    ],
  ])('%s', (_, message) => {
    expect(hasOpenStep(message)).toBe(true);
  });

  it.each<[string, Message]>([
    ['writes', { content: 'Paris', output: [item('message', { status: 'in_progress', content: text('Paris') })] }],
    ['thinks', { output: [item('reasoning', { status: 'in_progress', content: text('Hm') })] }],
    [
      'has the answer to its tool call',
      { output: [item('function_call', { call_id: 'a' }), item('function_call_output', { call_id: 'a' })] },
    ],
    ['has done its last status', { statusHistory: [{ done: false }, { done: true }] }],
    ['has statuses of another shape', { statusHistory: ['searching', null] }],
    ['is empty', {}],
  ])('is not one that %s', (_, message) => {
    expect(hasOpenStep(message)).toBe(false);
  });
});

describe('a message has begun', () => {
  it('with its first word, its first thought or its first tool call', () => {
    expect(hasBegun({ content: 'P' })).toBe(true);
    expect(hasBegun({ content: '', output: [item('message', { content: text('P') })] })).toBe(true);
    expect(hasBegun({ output: [item('reasoning', { summary: text('Hm') })] })).toBe(true);
    expect(hasBegun({ output: [item('function_call', { call_id: 'a' })] })).toBe(true);
  });

  it('not with the empty item that a server puts there before', () => {
    expect(hasBegun({ content: '', output: [item('message', { status: 'in_progress', content: [] })] })).toBe(false);
    expect(hasBegun({})).toBe(false);
  });
});

it('a message is as long as its text and all items of its output', () => {
  const output = [item('message', { content: text('Paris') })];
  expect(lengthOf({})).toBe(0);
  expect(lengthOf({ content: 'Paris' })).toBe(5);
  expect(lengthOf({ content: 'Paris', output })).toBe(5 + JSON.stringify(output[0]).length);
});
