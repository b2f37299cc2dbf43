import { DEFAULT_REPLY, TITLE } from '../../dev/model';
import { isAtLeast, textOf, type Driver, type StoredMessage } from './driver';
import { stateOf } from './product';

const HELD_TEXT = DEFAULT_REPLY.slice(0, 39);

/** The ways in which a reply ends, and what is left of each. */
export function aboutEndings(driver: () => Driver, release: string): void {
  const from = (first: string) => isAtLeast(release, first);
  const hasError = (reply: StoredMessage) => reply.error !== undefined && reply.error !== null;

  it.each([
    ['a failure', '[fail=500]', 500],
    ['a rate limit', '[fail=429]', 429],
  ])(
    "tells %s of the model by an error on the message, up to 0.6.22 in the trigger's answer too",
    async (_, how, status) => {
      const turn = await driver().newChat(`Fail. ${how}`);
      const answer = await driver().trigger(turn);
      await driver().untilIdle(turn);
      const reply = await driver().reply(turn);
      expect(answer.status).toBe(from('0.6.23') ? 200 : 400);
      expect(hasError(reply)).toBe(true);
      if (!from('0.6.19') || from('0.6.22'))
        expect(JSON.stringify(reply.error)).toContain(`scripted failure ${status}`);
      expect(reply).toMatchObject({ content: '', done: driver().can.doneMark === 'always' });
    },
  );

  it('keeps silent about a failure that is not declared as JSON, from 0.6.22 to 0.11', async () => {
    const reply = await driver().reply(await driver().ask('Fail. [html=502]'));
    const isTold = !from('0.6.22') || from('0.12.0');
    expect(hasError(reply)).toBe(isTold);
    if (isTold && !(from('0.6.19') && !from('0.6.22')))
      expect(JSON.stringify(reply.error)).toContain('502 Bad Gateway');
    expect(reply.content).toBe('');
  });

  it('drops the text of a stream that is cut, and tells of it from 0.6.23 on', async () => {
    const turn = await driver().ask('Break off. [slow=20] [cut=4]');
    const reply = await driver().reply(turn);
    expect(textOf(reply)).toBe('');
    expect(hasError(reply)).toBe(from('0.6.23'));
    expect(await stateOf(driver(), turn)).toMatchObject(
      from('0.6.23') ? { kind: 'failed', cutStream: true } : { kind: 'lost' },
    );
  });

  it.each([
    ['[fail=500]', 'failed'],
    ['[html=502]', from('0.6.22') && !from('0.12.0') ? 'lost' : 'failed'],
    ['[end=3]', 'finished'],
    ['[empty]', from('0.8.11') ? 'finished' : 'lost'],
    ['[think]', 'finished'],
  ])('is read by the product after %s as %s', async (how, kind) => {
    const state = await stateOf(driver(), await driver().ask(`Read me. ${how}`));
    expect(state).toMatchObject({ kind, ...(kind === 'failed' && { cutStream: false }) });
  });

  it('takes a stream that ends too early for a whole reply', async () => {
    const reply = await driver().reply(await driver().ask('End early. [end=3]'));
    expect(textOf(reply)).toBe(HELD_TEXT);
    expect(hasError(reply)).toBe(false);
    expect(reply.done).toBe(driver().can.doneMark !== 'none');
  });

  it('stores an empty reply like any other', async () => {
    const reply = await driver().reply(await driver().ask('Say nothing. [empty]'));
    expect(textOf(reply)).toBe('');
    expect(reply.model).toBe('model-a');
    expect(hasError(reply)).toBe(false);
    expect(reply.done).toBe(driver().can.doneMark !== 'none');
  });

  it('keeps reasoning apart from the reply: in the text up to 0.9, as an item of its output from 0.8 on', async () => {
    const reply = await driver().reply(await driver().ask('Think. [think]'));
    const inText = !from('0.10.0');
    expect(textOf(reply).startsWith('<details type="reasoning"')).toBe(inText);
    expect(textOf(reply).endsWith(DEFAULT_REPLY)).toBe(true);
    const reasoning = reply.output?.find((item) => item.type === 'reasoning');
    expect(reasoning?.content?.[0]?.text).toBe(from('0.8.0') ? 'Let me think about it.' : undefined);
  });

  it('has the text in its content, and from 0.10.0 to 0.10.2 only in its output', async () => {
    const reply = await driver().reply(await driver().ask('Where?'));
    const onlyInOutput = from('0.10.0') && !from('0.10.3');
    expect(reply.content).toBe(onlyInOutput ? '' : DEFAULT_REPLY);
    expect(reply.usage?.total_tokens).toBe(from('0.8.0') ? 32 : undefined);
  });

  it('lets a message that nobody will finish be closed: from 0.9 by a stop first, then the write', async () => {
    const turn = await driver().newChat('Close me.');
    if (driver().can.stopRoute === 'chat') await driver().call('POST', `/api/tasks/chat/${turn.chatId}/stop`);
    const { history } = (await driver().chat(turn)).chat;
    Object.assign(history.messages[turn.replyId] ?? {}, { done: true, error: { content: 'Nobody answered.' } });
    await driver().call('POST', `/api/v1/chats/${turn.chatId}`, { chat: { history } });
    expect(await driver().reply(turn)).toMatchObject({ done: true, error: { content: 'Nobody answered.' } });
  });

  it('lets from 0.12 no write close a message that was not stopped', async () => {
    const turn = await driver().newChat('Guarded?');
    const { history } = (await driver().chat(turn)).chat;
    Object.assign(history.messages[turn.replyId] ?? {}, { done: true, error: { content: 'Nobody answered.' } });
    await driver().call('POST', `/api/v1/chats/${turn.chatId}`, { chat: { history } });
    expect((await driver().reply(turn)).done).toBe(driver().can.historyWrite !== 'guarded');
  });

  it('makes title, tags and follow-ups before the task leaves the list', async () => {
    const background = { title_generation: true, tags_generation: true, follow_up_generation: true };
    const turn = await driver().ask('What is it called?', { background_tasks: background });
    const { title, meta } = await driver().chat(turn);
    expect(title).toBe(TITLE);
    expect([...(meta.tags ?? [])].sort()).toEqual(['europe', 'geography']);
    expect((await driver().reply(turn)).followUps).toEqual(['And of Spain?', 'And of Italy?']);
    expect((await driver().asked(turn)).filter((one) => one.kind === 'taskCall')).toHaveLength(3);
  });

  it('leaves title, tags and follow-ups alone where none is asked for', async () => {
    const turn = await driver().ask('Plain, please.');
    const { title, meta } = await driver().chat(turn);
    expect(title).toBe('New Chat');
    expect(meta.tags ?? []).toEqual([]);
    expect(await driver().reply(turn)).not.toHaveProperty('followUps');
  });
}
