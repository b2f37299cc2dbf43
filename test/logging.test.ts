import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { Runtime } from '@temporalio/worker';
import type { Logger } from 'pino';
import { ConfigError, type WorkerSettings } from '../src/config';
import { createLogger, installRuntime, temporalLogger, type LoggerOptions } from '../src/logging';
import { Secret } from '../src/config/secret';

const PASSWORD = 'canary "pass"\\word';
const API_KEY = 'sk-canary0123456789abcdef';
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJpZCI6ImNhbmFyeSJ9.canarysignature';

function logger(options: LoggerOptions = {}): { log: Logger; written: () => string } {
  let text = '';
  const destination = { write: (line: string) => void (text += line) };
  return { log: createLogger({ format: 'json', destination, ...options }), written: () => text };
}

const parsed = (text: string): Array<Record<string, unknown>> =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('the log', () => {
  it('is one JSON object a line, with level and time as people read them', () => {
    const { log, written } = logger();
    log.info({ chatId: 'c' }, 'hello');
    expect(parsed(written())).toEqual([
      { level: 'info', time: expect.stringMatching(/^\d{4}-.*Z$/) as string, chatId: 'c', msg: 'hello' },
    ]);
  });

  it('quotes a little of what is very long, and the whole stack of a defect', () => {
    const { log, written } = logger();
    const long = 'x'.repeat(5_000_000);
    temporalLogger(log).warn(long, { error: new SyntaxError(long), reason: long });
    expect(written().length).toBeLessThan(25_000);
    const [line] = parsed(written());
    expect(line).toMatchObject({ error: { stack: expect.stringContaining('logging.test.ts') as string } });
  });

  it('keeps to its level', () => {
    const { log, written } = logger({ level: 'warn' });
    log.info('not this');
    expect(written()).toBe('');
  });

  it('is text for people on demand, stack traces included', () => {
    const { log, written } = logger({ format: 'text' });
    log.warn({ connection: 'default', count: 2, err: new Error('broken') }, 'It went wrong');
    expect(written()).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} WARN {2}It went wrong connection=default count=2\nError: broken\n {4}at /,
    );
  });

  it('has the stack of a defect, and of an expected failure only its sentence', () => {
    const { log, written } = logger();
    const failure = (type: string): Error => ApplicationFailure.create({ type, message: `It is ${type}` });
    for (const error of [failure('ReplyEmpty'), failure('Defect'), new TypeError('It is ours')]) {
      temporalLogger(log).warn('Activity failed', { error });
    }
    const stack = expect.stringContaining('\n    at ') as string;
    expect(parsed(written())).toMatchObject([
      { failureType: 'ReplyEmpty', error: { message: 'It is ReplyEmpty' } },
      { failureType: 'Defect', error: { message: 'It is Defect', stack } },
      { error: { message: 'It is ours', stack } },
    ]);
    expect(parsed(written())[0]?.error).not.toHaveProperty('stack');
  });

  it('shows what is expected on one line of text', () => {
    const { log, written } = logger({ format: 'text' });
    const error = ApplicationFailure.create({ type: 'ReplyEmpty', message: 'The model answered an empty text' });
    temporalLogger(log).warn('Activity failed', { error, chatId: 'c' });
    expect(written()).toMatch(
      /WARN {2}Activity failed chatId=c failureType=ReplyEmpty error="The model answered an empty text"\n$/,
    );
  });

  it.each(['json', 'text'] as const)('never shows a secret, wherever it stands (%s)', (format) => {
    const secrets = [PASSWORD, API_KEY].map((value) => new Secret(value));
    const { log, written } = logger({ format, secrets, level: 'trace' });
    const withCause = new Error(`failed with ${PASSWORD}`, { cause: new Error(`Bearer ${JWT}`) });
    log.info(`password ${PASSWORD}, key ${API_KEY}, token ${JWT}, http://user:canary@host/`);
    log.info({ password: 'canary1', headers: { authorization: 'canary2' }, a: { b: { token: 'canary3' } } }, 'keys');
    log.info({ list: [PASSWORD, API_KEY], deep: { deeper: { deepest: { text: JWT } } } }, 'depth');
    log.error({ err: withCause }, 'error');
    log.error(withCause);
    temporalLogger(log).error('through the SDK', { error: withCause, token: 'canary4', secret: new Secret('canary5') });
    log.child({ apiKey: 'canary6' }).info('child');
    expect(written()).not.toContain('canary');
    if (format === 'json') expect(parsed(written())).toHaveLength(7);
  });

  it('does not mask innocent words for the sake of a very short secret', () => {
    const { log, written } = logger({ secrets: [new Secret('a')] });
    log.info('a task-0123456789 of anna');
    expect(written()).toContain('a task-0123456789 of anna');
  });
});

describe("Temporal's runtime", () => {
  const settings = (metricsAddress?: string): { worker: WorkerSettings } => ({
    worker: {
      waits: 1,
      heartbeatMs: 1000,
      shutdownGraceMs: 0,
      stickyMs: 1000,
      lostAfterMs: 60_000,
      heldTriggerMs: 330_000,
      ...(metricsAddress === undefined ? {} : { metricsAddress }),
    },
  });
  afterAll(() => Runtime.instance().shutdown());

  it('refuses a metrics address that is taken, logs through ours, serves metrics, and is installed once', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    const { log, written } = logger();
    expect(() => installRuntime(settings(address), log)).toThrow(ConfigError);
    expect(() => installRuntime(settings(address), log)).toThrow(/set ORCHESTRATOR_METRICS_ADDRESS to a free ip:port/);
    await new Promise((resolve) => taken.close(resolve));

    installRuntime(settings(address), log);
    installRuntime(settings(), log);
    Runtime.instance().logger.warn('from the SDK', { taskQueue: 'q' });
    while (written() === '') await sleep(5);
    expect(parsed(written())).toEqual([
      expect.objectContaining({ level: 'warn', msg: 'from the SDK', taskQueue: 'q' }),
    ]);
    expect((await fetch(`http://${address}/metrics`)).status).toBe(200);
  });
});
