import { DEFAULT_REPLY } from '../../dev/model';
import { Driver, textOf, type Turn } from './driver';
import type { MortalServer } from './server';

/** A real server is started twice for these. */
const STARTS_TIMEOUT = 300_000;

/** What a killed server leaves behind. */
export function aboutDeaths(start: () => Promise<MortalServer>): void {
  let server: MortalServer;
  let driver: Driver;
  let turn: Turn;
  let task: string | undefined;
  beforeAll(async () => {
    server = await start();
    driver = new Driver(server);
    ({ turn } = await driver.askAndHold('Lose me.'));
    [task] = await driver.tasks(turn);
    await server.kill();
    await server.restart();
  }, STARTS_TIMEOUT);
  afterAll(() => server?.stop());

  it('has forgotten its tasks and left the model', async () => {
    expect(task).toEqual(expect.any(String));
    expect(await driver.tasks(turn)).toEqual([]);
    await driver.until(async () => (await driver.generations(turn))[0]?.state === 'clientGone');
  });

  it('keeps the message as it was at the trigger, without text, error or mark', async () => {
    const reply = await driver.reply(turn);
    expect(reply).toMatchObject({ content: '', done: false, model: 'model-a' });
    expect(reply).not.toHaveProperty('error');
    expect(reply.meta?.task_id).toBe(driver.can.taskIdOnMessage ? task : undefined);
  });

  it('still knows the tokens that it gave out, and answers anew beside the lost reply', async () => {
    const again = await driver.regeneration(turn);
    expect((await driver.trigger(again)).status).toBe(200);
    await driver.until(async () => ((await driver.generations(turn))[1]?.charactersSent ?? 0) > 30);
    await driver.letGoOn(again);
    await driver.untilIdle(again);
    const messages = await driver.messages(again);
    expect(messages[turn.userId]?.childrenIds).toEqual([turn.replyId, again.replyId]);
    expect(messages[again.replyId]).toMatchObject({ parentId: turn.userId, model: 'model-a' });
    expect(textOf(messages[again.replyId] ?? {})).toBe(DEFAULT_REPLY);
  });
}
