import { Connection } from '@temporalio/client';
import { startTemporal, type TemporalServer } from '../../dev/temporal';
import { heedsPriorities, warnOfPriorities } from '../../src/priorities';

describe.each([
  ['with fairness switched on, as in the local stack', {}, true],
  ['as it is by default', { 'matching.useNewMatcher': false, 'matching.enableFairness': false }, false],
] as const)('Temporal %s', (_, dynamicConfig, heeds) => {
  let temporal: TemporalServer;
  let connection: Connection;
  beforeAll(async () => {
    temporal = await startTemporal({ dynamicConfig });
    connection = await Connection.connect({ address: temporal.address });
  });
  afterAll(async () => {
    await connection?.close();
    await temporal?.stop();
  });

  it(`${heeds ? 'heeds' : 'does not heed'} priorities, and is seen to`, async () => {
    expect(await heedsPriorities(connection, temporal.namespace)).toBe(heeds);
  });

  it(`causes ${heeds ? 'no' : 'one'} warning at the start of a worker, with the remedy`, async () => {
    const warnings: string[] = [];
    await warnOfPriorities(connection, temporal.namespace, { warn: (message) => void warnings.push(message) });
    expect(warnings).toEqual(
      heeds ? [] : [expect.stringMatching(/matching\.useNewMatcher and matching\.enableFairness/)],
    );
  });

  it('keeps nothing of the probe', async () => {
    const runs = async (): Promise<number> =>
      (await connection.workflowService.listWorkflowExecutions({ namespace: temporal.namespace })).executions?.length ??
      0;
    for (const end = Date.now() + 10_000; (await runs()) > 0 && Date.now() < end;) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(await runs()).toBe(0);
  });

  it('cannot be judged where it cannot be asked', async () => {
    expect(await heedsPriorities(connection, 'no-such-namespace')).toBeUndefined();
  });
});
