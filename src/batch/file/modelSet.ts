/** The models that the rows of a batch name, by connection, and the first line that names each. */

/** More different ones are a column that was taken for the models, and would not fit into what a worker is asked. */
export const MOST_MODELS = 500;

export type ModelLines = ReadonlyMap<string, ReadonlyMap<string, number>>;

export class ModelSet {
  readonly lines: ModelLines;
  private readonly byConnection = new Map<string, Map<string, number>>();
  private size = 0;

  constructor() {
    this.lines = this.byConnection;
  }

  /** @returns false where it is one too many */
  add(connection: string, model: string, line: number): boolean {
    if (this.byConnection.get(connection)?.has(model) === true) return true;
    if (this.size === MOST_MODELS) return false;
    this.size++;
    const models = this.byConnection.get(connection) ?? new Map<string, number>();
    // A part of a large text would keep all of that in memory.
    models.set(copied(model), line);
    if (models.size === 1) this.byConnection.set(copied(connection), models);
    return true;
  }
}

/** As a worker is asked for them. */
export function modelsByConnection(lines: ModelLines): Record<string, string[]> {
  return Object.fromEntries([...lines].map(([connection, models]) => [connection, [...models.keys()]]));
}

function copied(text: string): string {
  return Buffer.from(text).toString();
}
