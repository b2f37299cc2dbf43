/** Answers that no server gave, or not like that. */
import type { Answer } from './delivery';
import type { Fault } from './faults';

let large: Buffer | undefined;

/** JSON that is longer than 64 MiB, the most that a worker reads. */
export function oversized(): Buffer {
  large ??= Buffer.from(`{"id":"${'x'.repeat(65 * 1024 * 1024)}"}`);
  return large;
}

/** What a portal before the server says. */
export const SIGN_IN_PAGE: Answer = {
  status: 200,
  headers: { 'content-type': 'text/html; charset=utf-8' },
  body: Buffer.from('<!doctype html><html><head><title>Sign in</title></head><body>Sign in</body></html>'),
};

export function refusalOf({ status = 500, retryAfter, detail = `fault ${status}` }: Fault): Answer {
  const wait = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) };
  const headers = { 'content-type': 'application/json', ...wait };
  return { status, headers, body: Buffer.from(JSON.stringify({ detail })) };
}

/**
 * As a server would answer whose clock is so many seconds ahead.
 * @param behindProxy a proxy whose clock is right writes `Date`
 */
export function withClockOff(answer: Answer, seconds: number, { behindProxy }: { behindProxy: boolean }): Answer {
  const dateOff = behindProxy ? 0 : seconds;
  const date = new Date(Date.parse(answer.headers['date'] ?? '') + dateOff * 1000).toUTCString();
  const body = answer.body
    .toString('utf8')
    .replace(/"(created_at|updated_at)":\s*(\d{10})\b/g, (_all, key, at) => `"${key}":${Number(at) + seconds}`);
  return { ...answer, headers: { ...answer.headers, date }, body: Buffer.from(body) };
}
