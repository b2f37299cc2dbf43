/** Whatever reader has a defect: a chat is closed without it, and what is whole is left alone. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_REPLY } from '../../dev/model';
import { replyState } from '../../src/openwebui/replyState';
import { replyText } from '../../src/openwebui/replyText';
import { Bench } from '../support/bench';

jest.mock('../../src/openwebui/replyState');
jest.mock('../../src/openwebui/replyText');

const REASON = 'The worker has a defect.';

let bench: Bench;
beforeEach(() => {
  const defect = (): never => {
    throw new SyntaxError('Invalid regular expression');
  };
  jest.mocked(replyState).mockImplementation(defect);
  jest.mocked(replyText).mockImplementation(defect);
});
afterEach(() => bench.stop());

describe.each(['0.6.43', '0.8.12', '0.12.4'])('without the readers of replies, on %s', (release) => {
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  it('an unfinished message is stopped and closed', async () => {
    const { turn, triggered } = await bench.ask({ prompt: 'x [slow=100]' });
    await sleep(250);
    expect(await bench.run('closeMessage', { turn, reason: REASON, ...triggered })).toEqual({ closed: true });
    expect(await bench.tasks(turn.chatId)).toEqual([]);
    expect(await bench.message(turn)).toMatchObject({ done: true, error: { content: REASON } });
  });

  it('a whole one is left alone', async () => {
    const { turn, triggered } = await bench.ask({ prompt: 'x' });
    await bench.untilNoTask(turn.chatId);
    const before = await bench.message(turn);
    expect(before).toMatchObject({ content: DEFAULT_REPLY });
    expect(await bench.run('closeMessage', { turn, reason: REASON, ...triggered })).toEqual({ closed: true });
    expect(await bench.message(turn)).toEqual(before);
  });

  it('a turn of which it is not known how far it came is settled', async () => {
    const turn = await bench.createChat();
    const settling = { input: { prompt: 'What is the capital of France?', model: 'model-a' }, turnKey: '1' };
    const settled = await bench.run(
      'settleTurn',
      { ...settling, sinceMs: Date.now() - 60_000, reason: REASON },
      { scheduledTimestampMs: Date.now() - 60_000 },
    );
    expect(settled.place).toMatchObject({ chatId: turn.chatId, messageId: turn.messageId });
    expect(await bench.message(turn)).toMatchObject({ done: true, error: { content: REASON } });
  });
});
