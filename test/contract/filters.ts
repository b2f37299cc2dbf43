import { randomUUID } from 'node:crypto';
import { DEFAULT_REPLY } from '../../dev/model';
import { isAtLeast, textOf, type Driver } from './driver';
import { FILTERED } from './server';

/** Outlet filters: who runs them, and when a reply is final that one of them changes. */
export function aboutFilters(driver: () => Driver, release: string): void {
  it('answers /completed with the messages it was sent, and writes nothing', async () => {
    const turn = await driver().ask('Completed?');
    const answer = await driver().call('POST', '/api/chat/completed', completedBody(turn, DEFAULT_REPLY));
    expect(answer.status).toBe(200);
    expect((answer.body as { messages: { content: string }[] }).messages.at(-1)?.content).toBe(DEFAULT_REPLY);
    expect(textOf(await driver().reply(turn))).toBe(DEFAULT_REPLY);
  });

  it('lets an outlet filter change the reply: by itself before the task leaves the list, or for /completed', async () => {
    const word = `w${randomUUID().slice(0, 8)}`;
    const remove = await driver().server.installOutletFilter(word);
    try {
      const turn = await driver().ask(`Filter this ${word}.`);
      if (driver().can.outletFilters === 'server') {
        // Where the text is kept in `output` only, filters do not see it.
        const shown = isAtLeast(release, '0.10.0') && !isAtLeast(release, '0.10.3') ? '' : DEFAULT_REPLY;
        expect((await driver().reply(turn)).content).toBe(shown + FILTERED);
        return;
      }
      expect(textOf(await driver().reply(turn))).toBe(DEFAULT_REPLY);
      const answer = await driver().call('POST', '/api/chat/completed', completedBody(turn, DEFAULT_REPLY));
      const { messages } = answer.body as { messages: { content: string }[] };
      expect(messages.at(-1)?.content).toBe(DEFAULT_REPLY + FILTERED);
      expect(textOf(await driver().reply(turn))).toBe(DEFAULT_REPLY);
    } finally {
      await remove();
    }
  });
}

function completedBody(turn: { chatId: string; userId: string; replyId: string; prompt: string }, reply: string) {
  const messages = [
    { id: turn.userId, role: 'user', content: turn.prompt },
    { id: turn.replyId, role: 'assistant', content: reply },
  ];
  return { model: 'model-a', chat_id: turn.chatId, id: turn.replyId, session_id: randomUUID(), messages };
}
