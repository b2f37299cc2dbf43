import { DEFAULT_REPLY } from '../../dev/model';
import { Bench } from '../support/bench';
import { failureOf } from '../support/failures';

let bench: Bench;
afterEach(() => bench.stop());

describe.each(['0.6.15', '0.12.4'])('fetchReply on %s', (release) => {
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  it('reads the reply with one request', async () => {
    const { turn } = await bench.ask({ prompt: 'x [think=Hm.]' });
    await bench.untilNoTask(turn.chatId);
    bench.sent.clear();
    expect(await bench.run('fetchReply', { turn })).toMatchObject({
      content: DEFAULT_REPLY,
      reasoning: 'Hm.',
      truncated: false,
      characters: DEFAULT_REPLY.length,
    });
    expect(bench.sent.lines()).toEqual([`GET /api/v1/chats/${turn.chatId}`]);
  });

  it('ends with the message, and with the chat', async () => {
    const { turn } = await bench.ask({ prompt: 'x' });
    const deleted = await failureOf(bench.run('fetchReply', { turn: { ...turn, messageId: 'gone' } }));
    expect(deleted).toMatchObject({ type: 'ChatGone', nonRetryable: true, details: [{ chatId: turn.chatId }] });
    await bench.call('DELETE', `/api/v1/chats/${turn.chatId}`);
    expect(await failureOf(bench.run('fetchReply', { turn }))).toMatchObject({ type: 'ChatGone', nonRetryable: true });
  });

  it('is tried again where the server fails', async () => {
    const { turn } = await bench.ask({ prompt: 'x' });
    bench.standIn.fault({ method: 'GET', path: /\/api\/v1\/chats\//, how: 500 });
    expect(await failureOf(bench.run('fetchReply', { turn }))).toMatchObject({
      type: 'ServerUnavailable',
      nonRetryable: false,
    });
  });
});
