import { setTimeout as sleep } from 'node:timers/promises';
import { startStandInStack, type StandInStack } from '../../dev/standInStack';
import { startTemporal, type TemporalServer } from '../../dev/temporal';
import type { ChatRun } from '../../src/client';
import type { OrchestrateChatInput } from '../../src/contract';
import { createLogger, installRuntime } from '../../src/logging';

let temporal: TemporalServer;
let stack: StandInStack;
let json = '';
let text = '';

beforeAll(async () => {
  const asText = createLogger({ format: 'text', level: 'info', destination: { write: (line) => void (text += line) } });
  const log = createLogger({ format: 'json', level: 'info', destination: { write: (line) => void (json += line) } });
  const warn = log.warn.bind(log);
  const info = log.info.bind(log);
  Object.assign(log, {
    warn: (fields: object, message: string) => (warn(fields, message), asText.warn(fields, message)),
    info: (fields: object, message: string) => (info(fields, message), asText.info(fields, message)),
  });
  installRuntime({ worker: {} as never }, log);
  temporal = await startTemporal();
  stack = await startStandInStack(temporal);
}, 120_000);
afterAll(async () => {
  await stack?.stop();
  await temporal?.stop();
});
beforeEach(() => {
  json = '';
  text = '';
});

const PROMPT = 'What is the capital of France?';
const linesOf = (message: string, { workflowId }: ChatRun): Array<Record<string, unknown>> =>
  json
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line.msg === message && line.workflowId === workflowId);

/** The line comes with the end of the run's last task, which may be a moment after its result can be read. */
async function endOf(run: ChatRun): Promise<Array<Record<string, unknown>>> {
  await run.result().catch(() => undefined);
  while (linesOf('Run ended', run).length === 0) await sleep(10);
  return linesOf('Run ended', run);
}

const started = (input: Partial<OrchestrateChatInput> = {}): Promise<ChatRun> =>
  stack.orchestrator.startChat({ prompt: PROMPT, model: 'model-a', ...input });

describe('the log of a run', () => {
  it('has one line at its end, without a word of the conversation', async () => {
    const run = await started();
    const ended = await endOf(run);
    expect(ended).toEqual([
      expect.objectContaining({
        level: 'info',
        workflowId: run.workflowId,
        chatId: (await run.result()).chatId,
        connection: 'default',
        model: 'model-a',
        stage: 'done',
        generations: 1,
        promptTokens: expect.any(Number) as number,
        completionTokens: expect.any(Number) as number,
        durationMs: expect.any(Number) as number,
      }),
    ]);
    expect(json).not.toContain('France');
    expect(text.trimEnd().split('\n')).toEqual([
      expect.stringMatching(new RegExp(`INFO  Run ended .*workflowId=${run.workflowId} .*stage=done .*chatId=`)),
    ]);
  });

  it('tells a failure by its type and its chat, and of one that is expected no stack', async () => {
    stack.standIn.fault({ method: 'POST', path: /\/api\/chat\/completions/, how: 403 });
    const run = await started();
    const ended = await endOf(run);
    expect(ended).toEqual([
      expect.objectContaining({
        level: 'warn',
        workflowId: run.workflowId,
        chatId: expect.stringMatching(/./) as string,
        stage: 'failed',
        failureType: 'PermissionDenied',
        generations: 0,
      }),
    ]);
    expect(linesOf('Activity failed', run)).toEqual([
      expect.objectContaining({
        chatId: ended[0]?.chatId,
        failureType: 'PermissionDenied',
        error: { type: 'ApplicationFailure', message: expect.stringContaining('403') as string },
      }),
    ]);
    expect(linesOf('Workflow failed', run)).toEqual([]);
    expect(text.trimEnd().split('\n')).toHaveLength(2);
    expect(text).toMatch(/WARN {2}Activity failed .*failureType=PermissionDenied error="/);
  });

  it('tells of a run that made no chat', async () => {
    const run = await started({ connection: 'elsewhere' });
    const ended = await endOf(run);
    expect(ended).toMatchObject([{ stage: 'failed', failureType: 'UnknownConnection', generations: 0 }]);
    expect(ended[0]).not.toHaveProperty('chatId');
  });

  it('tells that a run was cancelled', async () => {
    const run = await started({ prompt: `${PROMPT} [slow=2000]` });
    while ((await run.status()).stage !== 'waiting') await sleep(20);
    await run.cancel();
    expect(await endOf(run)).toMatchObject([{ level: 'info', stage: 'cancelled', generations: 1 }]);
  });
});
