/** The process's log: one JSON object a line (or plain text for a terminal) on standard error, secrets masked. */
import {
  Runtime,
  type LogLevel as TemporalLogLevel,
  type LogMetadata,
  type Logger as TemporalLogger,
} from '@temporalio/worker';
import { ApplicationFailure } from '@temporalio/common';
import pino, { type DestinationStream, type Logger } from 'pino';
import { ConfigError, type Config, type LogFormat, type LogLevel } from './config';
import { maskSecrets, type Secret } from './config/secret';
import { FAILURES, ORCHESTRATE_CHAT } from './contract';
import { OpenWebUIError } from './openwebui/errors';
import { cutTo } from './openwebui/text';
import { asText } from './textLog';

export interface LoggerOptions {
  /** @default 'info' */
  level?: LogLevel;
  /** @default 'text' on a terminal, otherwise 'json' */
  format?: LogFormat;
  /** Masked wherever they appear, besides everything that has the form of a key or token. */
  secrets?: readonly Secret[];
  /** @default standard error */
  destination?: DestinationStream;
}

/** Most characters of an error's message, and of anything else in a line. */
const LONGEST_MESSAGE = 2_000;
const LONGEST_TEXT = 8_000;
/** The one type of failure whose cause is in our code. */
const DEFECT = 'Defect';
const WORKFLOW_FAILED = 'Workflow failed';
const SECRET_KEYS = ['password', 'apiKey', 'api_key', 'token', 'authorization', 'cookie', 'secret'];
// A shorter one would mask parts of innocent words.
const SHORTEST_MASKED = 6;

export function createLogger(options: LoggerOptions = {}): Logger {
  const format = options.format ?? (process.stderr.isTTY ? 'text' : 'json');
  const lines = options.destination ?? pino.destination({ dest: 2, sync: true });
  return pino(
    {
      level: options.level ?? 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }), log: withoutLongTexts },
      serializers: { err: withoutDetails, error: withoutDetails },
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: '***' },
      hooks: { streamWrite: maskerOf(options.secrets ?? []) },
    },
    format === 'text' ? asText(lines) : lines,
  );
}

function maskerOf(secrets: readonly Secret[]): (line: string) => string {
  const values = secrets.map((secret) => secret.reveal()).filter((value) => value.length >= SHORTEST_MASKED);
  // As they stand in a line of JSON.
  const escaped = values.map((value) => JSON.stringify(value).slice(1, -1)).sort((a, b) => b.length - a.length);
  return (line) => escaped.reduce((masked, value) => masked.replaceAll(value, '***'), maskSecrets(line));
}

/**
 * The details of a failure may hold a reply, and conversations do not belong in a log. Of what is expected the sentence says
 * what to do; of a defect the stack says where it is.
 */
function withoutDetails(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { type, message: whole, stack } = pino.stdSerializers.err(error);
  const message = cutTo(whole, LONGEST_MESSAGE);
  if (isExpected(error)) return { type, message };
  // The stack repeats the message; what it says besides is where the defect is.
  return {
    type,
    message,
    stack: cutTo(
      stack.replace(whole, () => message),
      LONGEST_TEXT,
    ),
  };
}

/** What is logged may quote what a server sent, of whatever length. */
function withoutLongTexts(fields: Record<string, unknown>): Record<string, unknown> {
  const cut = Object.entries(fields).map(([name, value]): [string, unknown] => [
    name,
    typeof value === 'string' ? cutTo(value, LONGEST_TEXT) : value,
  ]);
  return Object.fromEntries(cut);
}

function isExpected(error: Error): boolean {
  if (!(error instanceof ApplicationFailure)) return error instanceof OpenWebUIError;
  const type = error.type ?? '';
  return Object.hasOwn(FAILURES, type) && type !== DEFECT;
}

const PINO_LEVELS: Record<TemporalLogLevel, LogLevel> = {
  TRACE: 'trace',
  DEBUG: 'debug',
  INFO: 'info',
  WARN: 'warn',
  ERROR: 'error',
};

/**
 * What the SDK tells of its own workings, a line for each task queue and state, and its surprise at workers that only run
 * activities, which is how ours are meant.
 */
function isInternal(level: TemporalLogLevel, message: string, meta: LogMetadata): boolean {
  if (meta['sdkComponent'] !== 'worker') return false;
  // A run has a line of its own at its end.
  if (message === WORKFLOW_FAILED && meta['workflowType'] === ORCHESTRATE_CHAT) return true;
  return level === 'INFO' || (level === 'WARN' && message.startsWith('No workflows registered'));
}

/** The type of a failure is a field of its own. */
function withFailureType(message: string, meta: LogMetadata): LogMetadata {
  const error: unknown = meta['error'];
  if (error instanceof ApplicationFailure && error.type != null) return { ...meta, failureType: error.type };
  // It comes out of the workflow's sandbox as a copy without its type; where its cause was thrown, the step has told.
  if (message === WORKFLOW_FAILED) return { ...meta, error: { message: (error as Error | undefined)?.message } };
  return meta;
}

/** Lets the SDK, workflows and activities log through ours. */
export function temporalLogger(log: Logger): TemporalLogger {
  const write = (level: TemporalLogLevel, message: string, meta: LogMetadata = {}): void => {
    log[isInternal(level, message, meta) ? 'debug' : PINO_LEVELS[level]](
      withFailureType(message, meta),
      cutTo(message, LONGEST_MESSAGE),
    );
  };
  return {
    log: write,
    trace: (message, meta) => write('TRACE', message, meta),
    debug: (message, meta) => write('DEBUG', message, meta),
    info: (message, meta) => write('INFO', message, meta),
    warn: (message, meta) => write('WARN', message, meta),
    error: (message, meta) => write('ERROR', message, meta),
  };
}

let installed = false;

/**
 * Gives the SDK its log and, where an address is set, its metrics endpoint. Call before the first connection of Temporal's;
 * a second call does nothing.
 * @throws ConfigError if the metrics address cannot be used
 */
export function installRuntime({ worker: { metricsAddress } }: Pick<Config, 'worker'>, log: Logger): void {
  if (installed) return;
  const verbose = log.isLevelEnabled('debug');
  try {
    Runtime.install({
      logger: temporalLogger(log),
      telemetryOptions: {
        logging: { forward: {}, filter: { core: verbose ? 'DEBUG' : 'WARN', other: 'ERROR' } },
        ...(metricsAddress === undefined ? {} : { metrics: { prometheus: { bindAddress: metricsAddress } } }),
      },
    });
  } catch (error) {
    if (metricsAddress === undefined) throw error;
    throw new ConfigError(
      `Metrics cannot be served at ${metricsAddress}: set ORCHESTRATOR_METRICS_ADDRESS to a free ip:port of this machine.`,
    );
  }
  installed = true;
}
