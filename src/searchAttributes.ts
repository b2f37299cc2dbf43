/** Whether our search attributes may be used in a namespace, and their registration where that is allowed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { SEARCH_ATTRIBUTES } from './contract';
import type { TemporalServices } from './temporal';

/** pino's signature. */
export interface SearchAttributesLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

/** `IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD` of Temporal's API. */
const KEYWORD = 2;
const CALL_TIMEOUT_MS = 10_000;
const VISIBLE_WITHIN_MS = 10_000;
const VISIBLE_POLL_MS = 100;

/**
 * Sees to it that search attributes of type Keyword are registered, and waits until the server knows them.
 * @returns false, after a warning that says what to do, if runs must do without them
 */
export async function ensureSearchAttributes(
  connection: TemporalServices,
  namespace: string,
  log: SearchAttributesLog,
  names: readonly string[] = Object.values(SEARCH_ATTRIBUTES),
): Promise<boolean> {
  const setUp = new SearchAttributeSetUp(connection, namespace, names);
  const without = 'runs are not searchable by chat, model or stage';
  let registered: Record<string, number> | undefined;
  try {
    registered = await setUp.registered();
  } catch {
    // Temporal Cloud keeps its operator service to itself, but a query tells as well whether the names are known.
    if (await setUp.known()) return true;
    const remedy = 'register them as Keyword in the namespace';
    log.warn(
      { namespace, names },
      `Search attributes are missing and cannot be registered from here, so ${without}: ${remedy}`,
    );
    return false;
  }
  const mistyped = names.filter((name) => registered[name] !== undefined && registered[name] !== KEYWORD);
  if (mistyped.length > 0) {
    const remedy = 'remove them with "temporal operator search-attribute remove" and start the worker again';
    log.warn(
      { namespace, names: mistyped },
      `Search attributes are registered, but not as Keyword, so ${without}: ${remedy}`,
    );
    return false;
  }
  const missing = names.filter((name) => registered[name] === undefined);
  if (missing.length === 0) return true;
  try {
    await setUp.register(missing);
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unknown error';
    const command = commandFor(namespace, missing);
    log.warn(
      { namespace, reason },
      `Search attributes cannot be registered, so ${without}; somebody who may can run: ${command}`,
    );
    return false;
  }
  if (await setUp.becomeKnown()) {
    log.info({ namespace, names: missing }, 'Registered search attributes');
    return true;
  }
  log.warn(
    { namespace, names: missing },
    `Search attributes were registered but are not known yet, so ${without}: start the worker again`,
  );
  return false;
}

/** What an administrator runs to register them by hand. */
export function commandFor(namespace: string, names: readonly string[]): string {
  const attributes = names.map((name) => `--name ${name} --type Keyword`).join(' ');
  return `temporal operator search-attribute create --namespace ${namespace} ${attributes}`;
}

class SearchAttributeSetUp {
  constructor(
    private readonly connection: TemporalServices,
    private readonly namespace: string,
    private readonly names: readonly string[],
  ) {}

  async registered(): Promise<Record<string, number>> {
    const { namespace } = this;
    const answer = await this.call(() => this.connection.operatorService.listSearchAttributes({ namespace }));
    return answer.customAttributes;
  }

  async register(names: readonly string[]): Promise<void> {
    const { namespace } = this;
    const searchAttributes = Object.fromEntries(names.map((name) => [name, KEYWORD] as const));
    await this.call(() => this.connection.operatorService.addSearchAttributes({ namespace, searchAttributes }));
  }

  /** Registration reaches the server's other parts with a delay. */
  async becomeKnown(): Promise<boolean> {
    for (const end = Date.now() + VISIBLE_WITHIN_MS; Date.now() < end; await sleep(VISIBLE_POLL_MS)) {
      const registered = await this.registered();
      if (this.names.every((name) => registered[name] === KEYWORD) && (await this.known())) return true;
    }
    return false;
  }

  /** A query with a name that is not known is refused. */
  async known(): Promise<boolean> {
    const { namespace } = this;
    const query = this.names.map((name) => `${name} IS NULL`).join(' OR ');
    try {
      await this.call(() => this.connection.workflowService.countWorkflowExecutions({ namespace, query }));
      return true;
    } catch {
      return false;
    }
  }

  private async call<T>(request: () => Promise<T>): Promise<T> {
    return this.connection.withDeadline(Date.now() + CALL_TIMEOUT_MS, request);
  }
}
