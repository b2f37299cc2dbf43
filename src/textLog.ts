/** Shows the log's JSON lines as text for people. */
import type { DestinationStream } from 'pino';

interface LoggedError {
  message?: string;
  stack?: string;
}

interface Line {
  time: string;
  level: string;
  msg?: string;
  err?: LoggedError;
  error?: LoggedError;
  [field: string]: unknown;
}

/** A stream that takes JSON lines and writes `time level message field=value …`, a stack trace on lines of its own. */
export function asText(destination: DestinationStream): DestinationStream {
  return { write: (json) => destination.write(`${lineOf(JSON.parse(json) as Line)}\n`) };
}

function lineOf({ time, level, msg, err, error, ...fields }: Line): string {
  const pairs = Object.entries(fields).map(([key, value]) => `${key}=${shown(value)}`);
  const failure = err ?? error;
  if (failure !== undefined && failure.stack === undefined) pairs.push(`error=${shown(failure.message ?? failure)}`);
  const line = [time.slice(11, 23), level.toUpperCase().padEnd(5), msg ?? '', ...pairs].join(' ').trimEnd();
  return failure?.stack === undefined ? line : `${line}\n${failure.stack}`;
}

function shown(value: unknown): string {
  return typeof value === 'string' && !/\s/.test(value) ? value : JSON.stringify(value);
}
