import { Driver } from './driver';
import type { MortalServer } from './server';

/** What a killed server leaves behind. */
export function aboutDeaths(start: () => Promise<MortalServer>): void {
  let server: MortalServer;
  let driver: Driver;
  beforeAll(async () => {
    server = await start();
    driver = new Driver(server);
  });
  afterAll(() => server?.stop());

  it('forgets its tasks, keeps the chat, and never finishes the reply', async () => {
    const { turn } = await driver.askAndHold('Lose me.');
    const [task] = await driver.tasks(turn);
    await server.kill();
    await server.restart();
    expect(await driver.tasks(turn)).toEqual([]);
    const reply = await driver.reply(turn);
    expect(reply).toMatchObject({ content: '', done: false, model: 'model-a' });
    expect(reply).not.toHaveProperty('error');
    expect(reply.meta?.task_id).toBe(driver.can.taskIdOnMessage ? task : undefined);
    await driver.until(async () => (await driver.generations(turn))[0]?.state === 'clientGone');
  });

  it('still knows the tokens that it gave out, and answers anew beside the lost reply', async () => {
    const { turn } = await driver.askAndHold('Lose me, then answer.');
    await server.kill();
    await server.restart();
    const again = await driver.regeneration(turn);
    expect((await driver.trigger(again)).status).toBe(200);
    await driver.until(async () => ((await driver.generations(turn))[1]?.charactersSent ?? 0) > 30);
    await driver.letGoOn(again);
    await driver.untilIdle(again);
    const messages = await driver.messages(again);
    expect(messages[turn.userId]?.childrenIds).toEqual([turn.replyId, again.replyId]);
    expect(messages[again.replyId]).toMatchObject({ parentId: turn.userId, model: 'model-a' });
  });
}
