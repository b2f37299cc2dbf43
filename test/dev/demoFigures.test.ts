import { faultsIn, type DemoFigures } from '../../dev/demoFigures';

const FIGURES: DemoFigures = {
  openWebUIVersion: '0.12.4',
  temporalVersion: '1.29.1',
  workflowId: 'chat-1',
  runId: 'run',
  chatId: 'chat',
  chatUrl: 'http://127.0.0.1:1/c/chat',
  workflowUrl: '',
  reply: 'Because of its history.',
  workerKills: 1,
  workerIdentities: 2,
  replyCharsAtKill: 5,
  replyChars: 23,
  chats: 1,
  generations: 1,
  historyEvents: 25,
  httpCalls: 30,
  elapsedMs: 14_000,
};

describe('what the demo calls a fault', () => {
  it.each([
    ['a reply as the model sent it', 'Because of its history.'],
    ['white space around it', '\nBecause of its history.\n'],
    ['thoughts, which Open WebUI keeps apart', '<think>\nWhy?\n</think>\n\nBecause of its history.'],
  ])('is not %s', (_, sent) => {
    expect(faultsIn(FIGURES, sent)).toEqual([]);
  });

  it.each<[string, Partial<DemoFigures>, RegExp]>([
    ['a reply that was cut', { reply: 'Because of' }, /the stored reply is not what the model sent/],
    ['no reply', { reply: '' }, /the stored reply is not what the model sent/],
    ['a second chat', { chats: 2 }, /2 new chats instead of 1/],
    ['a second generation', { generations: 2 }, /2 generations instead of 1/],
    ['a worker that did it all', { workerIdentities: 1 }, /1 workers took part instead of 2/],
    ['a kill before the reply', { replyCharsAtKill: 0 }, /not killed in the middle/],
    ['a kill after the reply', { replyCharsAtKill: 23 }, /not killed in the middle/],
    ['a long history', { historyEvents: 41 }, /41 events, more than 40/],
  ])('is %s', (_, changes, fault) => {
    expect(faultsIn({ ...FIGURES, ...changes }, FIGURES.reply)).toEqual([expect.stringMatching(fault)]);
  });

  it('is not what cannot be seen, where the model is out of sight', () => {
    expect(faultsIn({ ...FIGURES, replyCharsAtKill: 0 }, undefined)).toEqual([]);
    expect(faultsIn({ ...FIGURES, replyCharsAtKill: 0, reply: '' }, undefined)).toHaveLength(1);
  });
});
