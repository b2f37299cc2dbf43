/** Looks after the servers that a batch uses: rows are not to burn through their retries while Open WebUI fails as a whole. */
import { setTimeout as sleep } from 'node:timers/promises';
import { cancellationSignal } from '@temporalio/activity';
import { msFrom, now, shifted, type Instant } from '../clocks';
import type { Connection } from '../openwebui/connection';
import {
  AuthenticationError,
  NetworkError,
  NotOpenWebUIError,
  RateLimitedError,
  RequestTimeoutError,
  ResponseTooLargeError,
  ServerError,
} from '../openwebui/errors';
import { LONGEST_HOLD_MS } from './endOfReply';
import { notYet } from './failures';
import { runStep, type ActivityDependencies } from './step';

export interface AwaitServerInput {
  connections: string[];
  /** `failing`: until one of them fails as a whole. `answering`: until all of them answer. */
  until: 'failing' | 'answering';
}

export interface AwaitedServer {
  /** Which connection fails, why, and what to do, in one sentence. Only with `failing`. */
  reason?: string;
}

/** In milliseconds. */
export interface Probing {
  /** Pause between two probes of a connection. */
  everyMs: number;
  /** Pause before a failed probe is repeated: one alone may be an accident. */
  againMs: number;
  /** Pause where the credential is refused or the rate limited: each probe may cost a sign-in. */
  refusedMs: number;
  /** How long a probe waits for its answer. */
  answerMs: number;
  /** How long one attempt keeps its slot. */
  holdMs: number;
}

const PROBING: Probing = {
  everyMs: 10_000,
  againMs: 5_000,
  refusedMs: 60_000,
  answerMs: 20_000,
  holdMs: LONGEST_HOLD_MS,
};

/** Pause before another worker is asked, in milliseconds. */
const ELSEWHERE_AFTER_MS = 2_000;

/** The tasks of this chat are asked for: needs the credential, reads next to nothing, and exists on every release. */
const NO_CHAT = '00000000-0000-4000-8000-000000000000';

/** What is wrong with a server, by the kind of error, and what to do. Other refusals are answers. */
const TROUBLES = [
  [AuthenticationError, "correct the connection's key or password in the worker"],
  [RateLimitedError, 'raise its limit, or let fewer conversations run at a time'],
  [NotOpenWebUIError, "correct the connection's URL, or what stands before Open WebUI"],
  [ServerError, "look into Open WebUI's log"],
  [ResponseTooLargeError, "correct the connection's URL, or what stands before Open WebUI"],
  [RequestTimeoutError, 'look whether Open WebUI is overloaded'],
  [NetworkError, 'look whether Open WebUI runs'],
] as const;

interface Trouble {
  connection: string;
  reason: string;
  /** The server answers, and wants fewer questions. */
  isRefused: boolean;
}

export async function awaitServer(
  deps: ActivityDependencies,
  { connections, until }: AwaitServerInput,
): Promise<AwaitedServer> {
  // Its end is not up to it: a batch looks after its servers as long as it runs, and waits for them as long as it takes.
  const options = { firstContact: false, serverBudgetMs: Infinity };
  return runStep(deps, undefined, options, async () => {
    const probed = known(deps, connections);
    const signal = cancellationSignal();
    const times = deps.probing ?? PROBING;
    if (until === 'answering') return untilAnswering(probed, times, signal);
    return { reason: await untilFailing(probed, times, signal) };
  });
}

/** Those that this worker has. The batch was accepted, so where it has none another worker is to look. */
function known({ connections }: ActivityDependencies, names: string[]): Connection[] {
  const known = names.flatMap((name) => connections.get(name) ?? []);
  if (known.length > 0) return known;
  const message = `This worker has no connection ${names.map((name) => `"${name}"`).join(', ')}; another one is asked`;
  throw notYet('UnknownConnection', message, ELSEWHERE_AFTER_MS);
}

async function untilFailing(probed: Connection[], times: Probing, signal: AbortSignal): Promise<string> {
  const releaseAt = shifted(now(), times.holdMs);
  for (let suspects: string[] = []; ;) {
    const troubles = await troublesOf(probed, times, signal);
    const trouble = troubles.find(({ connection }) => suspects.includes(connection));
    if (trouble !== undefined) return trouble.reason;
    suspects = troubles.map(({ connection }) => connection);
    const pauseMs = suspects.length === 0 ? times.everyMs : times.againMs;
    await pause(pauseMs, suspects.length === 0 ? releaseAt : undefined, signal);
  }
}

async function untilAnswering(probed: Connection[], times: Probing, signal: AbortSignal): Promise<AwaitedServer> {
  const releaseAt = shifted(now(), times.holdMs);
  for (;;) {
    const troubles = await troublesOf(probed, times, signal);
    if (troubles.length === 0) return {};
    const pauseMs = troubles.some(({ isRefused }) => isRefused) ? times.refusedMs : times.everyMs;
    await pause(pauseMs, releaseAt, signal);
  }
}

async function troublesOf(probed: Connection[], times: Probing, signal: AbortSignal): Promise<Trouble[]> {
  const troubles = await Promise.all(probed.map((connection) => troubleOf(connection, times, signal)));
  return troubles.filter((trouble) => trouble !== undefined);
}

async function troubleOf(
  connection: Connection,
  { answerMs }: Probing,
  signal: AbortSignal,
): Promise<Trouble | undefined> {
  const patience = AbortSignal.timeout(answerMs);
  const { name, client } = connection;
  try {
    await client.chatTasks(NO_CHAT, AbortSignal.any([signal, patience]));
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    const trouble = TROUBLES.find(([kind]) => error instanceof kind);
    if (trouble === undefined && !patience.aborted) return undefined;
    const what = trouble === undefined ? `no answer within ${answerMs / 1000} s` : (error as Error).message;
    const remedy = trouble?.[1] ?? 'look whether Open WebUI is overloaded';
    const isRefused = error instanceof AuthenticationError || error instanceof RateLimitedError;
    return { connection: name, reason: `Connection ${name} fails as a whole: ${what}; ${remedy}`, isRefused };
  }
}

/** @throws ApplicationFailure "not yet", when the slot is to be given back */
async function pause(ms: number, releaseAt: Instant<'process'> | undefined, signal: AbortSignal): Promise<void> {
  if (releaseAt !== undefined && msFrom(releaseAt, now()) >= 0)
    throw notYet('ServerUnavailable', 'Open WebUI is looked after', 1_000);
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}
