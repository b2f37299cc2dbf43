/**
 * Compares what a stand-in answered with what a real server answered. Ids differ from run to run, so the two are walked
 * together: an id met for the first time is bound to its counterpart, and must have the same one ever after.
 */
export class Comparison {
  readonly #ids = new Map<string, string>();

  /** The recorded value as it would read in this run. Ids not met yet (those that the client chose) stay. */
  translate<T>(recorded: T): T {
    const text = JSON.stringify(recorded) as string | undefined;
    return text === undefined ? recorded : (JSON.parse(text.replace(ID, (id) => this.#ids.get(id) ?? id)) as T);
  }

  /** The differences, one line each; none where the two say the same. */
  differences(recorded: unknown, actual: unknown, path = '$'): string[] {
    if (IGNORED.test(path)) return [];
    if (typeof recorded === 'string') return this.#compareText(recorded, actual, path);
    if (typeof recorded === 'number') return compareNumber(recorded, actual, path);
    if (Array.isArray(recorded)) return this.#compareList(recorded, actual, path);
    if (recorded !== null && typeof recorded === 'object') return this.#compareObject(recorded, actual, path);
    return recorded === actual ? [] : [difference(path, recorded, actual)];
  }

  #compareText(recorded: string, actual: unknown, path: string): string[] {
    if (PLACEHOLDER.test(recorded)) return [];
    if (typeof actual !== 'string') return [difference(path, recorded, actual)];
    const theirs = recorded.match(ID) ?? [];
    const ours = actual.match(ID) ?? [];
    for (const [i, id] of theirs.entries()) if (!this.#ids.has(id)) this.#ids.set(id, ours[i] ?? id);
    const expected = recorded.replace(ID, (id) => this.#ids.get(id) ?? id);
    return expected === actual ? [] : [difference(path, expected, actual)];
  }

  #compareList(recorded: unknown[], actual: unknown, path: string): string[] {
    if (!Array.isArray(actual) || actual.length !== recorded.length) return [difference(path, recorded, actual)];
    return recorded.flatMap((item, i) => this.differences(item, actual[i], `${path}[${i}]`));
  }

  #compareObject(recorded: object, actual: unknown, path: string): string[] {
    if (actual === null || typeof actual !== 'object' || Array.isArray(actual)) {
      return [difference(path, recorded, actual)];
    }
    const ours = new Map<string, unknown>(Object.entries(actual));
    const found = Object.entries(recorded).flatMap(([name, value]) => {
      const key = this.#ids.get(name) ?? name;
      const has = ours.has(key);
      const mine = ours.get(key);
      ours.delete(key);
      return has ? this.differences(value, mine, `${path}.${name}`) : [difference(`${path}.${name}`, value, undefined)];
    });
    return [...found, ...[...ours].map(([name, value]) => difference(`${path}.${name}`, undefined, value))];
  }
}

const ID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b(?:msg|r)_[0-9a-f]{24}\b/g;
const PLACEHOLDER = /^(<.*>|…)$/;
/** How near a document is to a question, and what a vector store notes about it, is not what a stand-in is for. */
const IGNORED = /\.sources\[\d+\]\.(metadata|distances)$/;

/** A moment that the client sent comes back as it was; any other stands for any moment near now, in the same unit. */
function compareNumber(recorded: number, actual: unknown, path: string): string[] {
  const isMoment = recorded > 1_700_000_000 && recorded < 1_900_000_000;
  if (recorded === actual) return [];
  if (!isMoment) return [difference(path, recorded, actual)];
  const isNow = typeof actual === 'number' && Math.abs(actual - Date.now() / 1000) < 3600;
  return isNow ? [] : [difference(path, 'a time in seconds', actual)];
}

function difference(path: string, expected: unknown, actual: unknown): string {
  return `${path}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`;
}
