import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { startStandInStack, type StandInStack, type StandInStackOptions } from '../../dev/standInStack';
import { startTemporal, type TemporalServer } from '../../dev/temporal';
import type { ChatRun } from '../../src/client';
import { installQuietRuntime } from '../support/workflowBench';

let temporal: TemporalServer;
let stack: StandInStack;
const start = async (options: StandInStackOptions = {}): Promise<void> => {
  stack = await startStandInStack(temporal, options);
};
beforeAll(async () => {
  installQuietRuntime();
  temporal = await startTemporal();
}, 120_000);
afterEach(() => stack.stop());
afterAll(() => temporal.stop());

/** Everything that Temporal can show of a run, payloads decoded. */
async function shownOf(run: ChatRun): Promise<string> {
  const history: unknown = JSON.parse(historyToJSON(await run.handle.fetchHistory()));
  const { raw } = await run.handle.describe();
  const details = await run.handle.query('__temporal_workflow_metadata');
  return textsOf([history, JSON.parse(JSON.stringify(raw)), details, await run.trouble()]).join('\n');
}

function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value, Buffer.from(value, 'base64').toString('utf8')];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(textsOf);
}

const INPUT = { prompt: 'What is the capital of France?', model: 'model-a' };

describe('what Temporal shows of a run', () => {
  it.each(['0.6.15', '0.12.4'])('holds no credential where it succeeds, on %s', async (release) => {
    await start({ release });
    const run = await stack.orchestrator.startChat(INPUT);
    expect(await run.result()).toMatchObject({ generations: 1 });
    const shown = await shownOf(run);
    expect(shown).toContain('The capital of France is Paris.');
    expect(shown).not.toContain(stack.token);
  });

  it('holds no credential where that is refused, and not at once either', async () => {
    await start({ authorised: false });
    const run = await stack.orchestrator.startChat(INPUT);
    await expect(run.result()).rejects.toMatchObject({ type: 'AuthenticationFailed' });
    expect(await shownOf(run)).not.toContain(stack.token);
  });

  it('holds no credential where the model repeats one in its error', async () => {
    await start();
    stack.standIn.fault({ method: 'POST', path: /\/api\/chat\/completions/, how: 400 });
    const run = await stack.orchestrator.startChat(INPUT);
    await expect(run.result()).rejects.toMatchObject({ type: 'RequestRefused' });
    expect(await shownOf(run)).not.toContain(stack.token);
  });
});
