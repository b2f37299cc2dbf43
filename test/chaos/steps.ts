/** Where in a run the columns of the matrix are: the request that each is about. */
import type { Play, Step } from './cell';
import type { Endpoint } from './endpoints';

export interface StepPlace {
  at: { endpoint: Endpoint; since?: Endpoint };
  /** On which releases there is such a request. */
  on: NonNullable<Play['on']>;
}

const everywhere = (): boolean => true;

export function isAtLeast(release: string, first: string): boolean {
  const [a, b] = [release, first].map((text) => text.split('.').map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (a?.[i] ?? 0) - (b?.[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** Up to 0.8.12 the client runs outlet filters. */
export function completesByCall(release: string): boolean {
  return !isAtLeast(release, '0.9.0');
}

/** The steps that send requests. */
export const STEPS: Record<Exclude<Step, 'S0' | 'all'>, StepPlace> = {
  S1: { at: { endpoint: 'create' }, on: everywhere },
  S2: { at: { endpoint: 'trigger' }, on: everywhere },
  S3: { at: { endpoint: 'tasks', since: 'trigger' }, on: everywhere },
  S4: { at: { endpoint: 'completed' }, on: completesByCall },
  S5: { at: { endpoint: 'read', since: 'trigger' }, on: everywhere },
};

export const REQUESTING = ['S1', 'S2', 'S3', 'S4', 'S5'] as const;
