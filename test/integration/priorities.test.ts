import { Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { startTemporal, type TemporalServer } from '../../dev/temporal';
import { heededBy, warnOfPriorities, type Heeded } from '../../src/priorities';
import { installQuietRuntime } from '../support/workflowBench';

const BOTH = /matching\.useNewMatcher and matching\.enableFairness/;
const FAIRNESS = /heeds priorities, but no fairness keys: .* matching\.enableFairness/;

describe.each<[string, Record<string, boolean>, Heeded, RegExp[]]>([
  ['with fairness switched on, as in the local stack', {}, { priorities: true, fairness: true }, []],
  [
    'with priorities alone, as newer releases are by default',
    { 'matching.enableFairness': false },
    { priorities: true, fairness: false },
    [FAIRNESS],
  ],
  [
    'with neither',
    { 'matching.useNewMatcher': false, 'matching.enableFairness': false },
    { priorities: false, fairness: false },
    [BOTH],
  ],
])('Temporal %s', (_, dynamicConfig, heeded, warning) => {
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

  it(`is seen to heed what it heeds; causes ${warning.length === 0 ? 'no' : 'one'} warning at the start of a worker`, async () => {
    installQuietRuntime();
    const native = await NativeConnection.connect({ address: temporal.address });
    const warnings: string[] = [];
    const [seen] = await Promise.all([
      heededBy(connection, temporal.namespace),
      warnOfPriorities(native, temporal.namespace, { warn: (message) => void warnings.push(message) }),
    ]);
    await native.close();
    expect(seen).toEqual(heeded);
    expect(warnings).toEqual(warning.map((text) => expect.stringMatching(text) as string));
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
    expect(await heededBy(connection, 'no-such-namespace')).toEqual({});
  });
});
