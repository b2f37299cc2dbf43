/**
 * The zombie fence. An attempt whose process was stopped for a while may have been given up by Temporal and be under way
 * elsewhere; what it wrote then would be written twice. So a request that changes something is sent only while the attempt is
 * known to count: within half a heartbeat timeout of its start, or of a heartbeat that Temporal has acknowledged, by this process's
 * own clock, and not after the process stood still for a quarter of it.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { ApplicationFailure } from '@temporalio/activity';
import { msFrom, now, shifted, type Instant } from '../clocks';
import { StandStill } from './standStill';

/** Tells Temporal that an attempt is alive, and waits for the answer. @returns false if Temporal has given the attempt up */
export type ConfirmAttempt = (taskToken: Uint8Array, heartbeatDetails: unknown) => Promise<boolean>;

export interface FencedAttempt {
  taskToken: Uint8Array;
  /** What a heartbeat of this attempt carries: a confirmation is one. */
  heartbeatDetails: unknown;
  heartbeatTimeoutMs: number;
  /** When Temporal knew the attempt alive; undefined where that cannot be told. */
  aliveAt: Instant<'process'> | undefined;
  confirm: ConfirmAttempt;
}

/** How long the task of an attempt may lie in a process that stood still before the attempt begins, in milliseconds. */
const BEGUN_WITHIN_MS = 10_000;

const attempts = new AsyncLocalStorage<FencedAttempt>();
const standStill = new StandStill();

/** Runs an attempt within its fence. */
export function fenced<T>(attempt: FencedAttempt, run: () => Promise<T>): Promise<T> {
  standStill.watch();
  const { aliveAt, heartbeatTimeoutMs } = attempt;
  const isDoubtful =
    aliveAt !== undefined && stoodStill(standStill, shifted(aliveAt, -BEGUN_WITHIN_MS), heartbeatTimeoutMs);
  return attempts.run(isDoubtful ? { ...attempt, aliveAt: undefined } : attempt, run);
}

/**
 * To be passed right before a request that changes something. Free where nothing doubtful has happened, and outside of
 * activities.
 * @throws ApplicationFailure where Temporal has given the attempt up, or cannot be asked
 */
export async function passFence(): Promise<void> {
  const attempt = attempts.getStore();
  if (attempt === undefined || counts(attempt)) return;
  const askedAt = now();
  if (!(await confirmed(attempt))) throw notSent('Temporal has given this attempt up');
  attempt.aliveAt = askedAt;
  if (!counts(attempt)) throw notSent('Temporal has confirmed this attempt too long ago');
}

function counts(attempt: FencedAttempt): boolean {
  return isSureToCount(attempt, standStill);
}

/** Whether Temporal need not be asked. @param standStill of this process */
export function isSureToCount(
  { aliveAt, heartbeatTimeoutMs }: Pick<FencedAttempt, 'aliveAt' | 'heartbeatTimeoutMs'>,
  standStill: StandStill,
): boolean {
  if (aliveAt === undefined || msFrom(aliveAt, now()) > heartbeatTimeoutMs / 2) return false;
  return !stoodStill(standStill, aliveAt, heartbeatTimeoutMs);
}

function stoodStill(standStill: StandStill, since: Instant<'process'>, heartbeatTimeoutMs: number): boolean {
  return standStill.longestSince(since) > heartbeatTimeoutMs / 4;
}

async function confirmed({ confirm, taskToken, heartbeatDetails }: FencedAttempt): Promise<boolean> {
  try {
    return await confirm(taskToken, heartbeatDetails);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw notSent(`Temporal cannot be asked whether this attempt still counts (${reason})`);
  }
}

const GIVEN_UP = 'AttemptGivenUp';

/** Whether an error says that the fence was closed: the request was not sent. */
export function wasFencedOff(error: unknown): boolean {
  return error instanceof ApplicationFailure && error.type === GIVEN_UP;
}

function notSent(reason: string): ApplicationFailure {
  return ApplicationFailure.create({
    type: GIVEN_UP,
    message: `${reason}; nothing was sent to Open WebUI`,
    category: 'BENIGN',
  });
}
