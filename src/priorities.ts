/**
 * Whether Temporal heeds priorities and fairness keys. No call tells it, but a queue in which tasks wait does: of a server that
 * heeds no priorities it shows everything under the default one, and one that heeds no fairness keys gives the tasks out in the
 * order in which they came, however many are of one key. So such a queue is made, looked at, and emptied.
 */
import { ProbeQueue, type ProbeTask } from './probeQueue';
import type { TemporalServices } from './temporal';

/** What Temporal heeds; missing where it cannot be told. */
export interface Heeded {
  priorities?: boolean;
  fairness?: boolean;
}

const HIGHEST = 1;
/**
 * Tasks of either key for each partition of the queue: with these, chance makes one kind of server look like the other in less
 * than one of 10,000 cases, and like neither in one of 1,000.
 */
const OF_MANY = 16;
const OF_FEW = 3;
/** As many are enough for 16 partitions. Few clusters have other than 4, the default. */
const MOST_PARTITIONS = 8;
/** Where in the whole order, from 0 to 1, the tasks of the key with few stand in the middle: those came last. */
const EARLY = 0.45;
const LATE = 0.55;

const SETTINGS = 'in its dynamic configuration (docs/configuration.md)';
const LACKING_PRIORITIES = `Temporal does not heed priorities and fairness keys: under a large batch other runs may wait. Set matching.useNewMatcher and matching.enableFairness to true ${SETTINGS}`;
const LACKING_FAIRNESS = `Temporal heeds priorities, but no fairness keys: a batch may wait for one that was begun before it. Set matching.enableFairness to true ${SETTINGS}`;

/** Takes about ten seconds. */
export async function heededBy(temporal: TemporalServices, namespace: string): Promise<Heeded> {
  let queue: ProbeQueue | undefined;
  try {
    queue = await ProbeQueue.open(temporal, namespace);
    return await heededIn(queue);
  } catch {
    return {};
  } finally {
    await queue?.close();
  }
}

/** Warns once where batches are not kept behind other runs, or not beside each other. */
export async function warnOfPriorities(
  temporal: TemporalServices,
  namespace: string,
  log: { warn(message: string): void },
): Promise<void> {
  const { priorities, fairness } = await heededBy(temporal, namespace);
  if (priorities === false) log.warn(LACKING_PRIORITIES);
  else if (fairness === false) log.warn(LACKING_FAIRNESS);
}

async function heededIn(queue: ProbeQueue): Promise<Heeded> {
  // Some servers begin to heed fairness keys when they see the first one. Its priority shows whether they heed those.
  const waiting = await queue.add([{ id: 'first', fairnessKey: 'many', priorityKey: HIGHEST }]);
  if (waiting === undefined) return {};
  const priorities = (waiting.get(HIGHEST) ?? 0) > 0;
  const partitions = Math.min(await queue.partitions(), MOST_PARTITIONS);
  for (const tasks of [tasksOf('many', OF_MANY * partitions), tasksOf('few', OF_FEW * partitions)]) {
    if ((await queue.add(tasks)) === undefined) return { priorities };
  }
  const fairness = isFair(await queue.emptied());
  return { priorities, ...(fairness === undefined ? {} : { fairness }) };
}

function tasksOf(fairnessKey: string, count: number): ProbeTask[] {
  return Array.from({ length: count }, (_, i) => ({ id: `${fairnessKey}-${i}`, fairnessKey }));
}

/** @param ids in the order in which they were given out @returns undefined where chance may have made it */
export function isFair(ids: readonly string[]): boolean | undefined {
  const places = ids.flatMap((id, i) => (id.startsWith('few-') ? [(i + 0.5) / ids.length] : []));
  const middle = places.reduce((sum, place) => sum + place, 0) / places.length;
  if (middle <= EARLY) return true;
  return middle >= LATE ? false : undefined;
}
