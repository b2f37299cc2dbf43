/** Pictures that a model, a pipe or the image generation made are a reply, with a text beside them or without. */
import { Bench } from '../support/bench';

const FILES = [{ type: 'image', url: '/api/v1/files/10000000-0000-4000-8000-000000000001/content' }];

let bench: Bench;
afterEach(() => bench.stop());

/** A reply of pictures alone, as the server leaves it. */
async function pictured() {
  const { turn, triggered, awaiting } = await bench.ask({ prompt: 'x [empty]' });
  await bench.untilNoTask(turn.chatId);
  const { history } = (await bench.chat(turn.chatId)).chat;
  const message = { ...history?.messages[turn.messageId], files: FILES };
  const messages = { ...history?.messages, [turn.messageId]: message };
  await bench.call('POST', `/api/v1/chats/${turn.chatId}`, { chat: { history: { ...history, messages } } });
  return { turn, triggered, awaiting };
}

describe.each(['0.6.15', '0.7.2', '0.8.10', '0.8.12', '0.11.4', '0.12.4'])('a reply of pictures on %s', (release) => {
  beforeEach(async () => {
    bench = await Bench.start({ release });
  });

  it('is a success with an empty text', async () => {
    const { awaiting } = await pictured();
    const reply = await bench.run('awaitReply', awaiting, { attempt: 2 });
    expect(reply).toMatchObject({ content: '', truncated: false, characters: 0 });
  });

  it('is not written over, however the run ends', async () => {
    const { turn, triggered } = await pictured();
    const before = await bench.message(turn);
    expect(before).toMatchObject({ files: FILES });
    const reason = 'This request was cancelled.';
    expect(await bench.run('closeMessage', { turn, reason, ...triggered })).toEqual({ closed: true });
    const again = { turn, turnKey: '1', generation: 2, reason, ...triggered };
    expect(await bench.run('regenerate', again)).toMatchObject({ alive: true, messageId: turn.messageId });
    expect(await bench.message(turn)).toEqual(before);
  });
});
