/** What only a worker can say of a file's rows: whether it serves what they name, and how long their prompts may be. */
import type { PreparedBatch } from '../../batchContract';
import type { ChatRequest } from '../../chatInput';
import { OrchestrationError } from '../../chatRun';
import { FAILURES, type OrchestrateChatInput } from '../../contract';
import type { CommonName } from './records';
import { RowError } from './rowError';

export type Served = Pick<PreparedBatch, 'unknownModels' | 'unknownConnections' | 'known' | 'maxPromptBytes'>;

/** A row is right, but the worker does not serve it. */
export class UnservedRow extends RowError {
  /** @param option that the row takes it from, where the row does not say it itself */
  constructor(
    message: string,
    column?: string,
    readonly option?: CommonName,
  ) {
    super(message, column);
  }
}

/** What the model is told, in bytes of UTF-8: that is what a worker's limit is about. */
export function promptBytesOf({ prompt, earlier, system = '' }: ChatRequest): number {
  return [prompt, system, ...earlier.map(({ content }) => content)].reduce(
    (sum, text) => sum + Buffer.byteLength(text),
    0,
  );
}

/** @param longestPrompt of all rows, in bytes */
export function servesAll(served: Served, longestPrompt: number): boolean {
  const { unknownModels, unknownConnections = [], maxPromptBytes = Infinity } = served;
  return unknownModels.length + unknownConnections.length === 0 && longestPrompt <= maxPromptBytes;
}

/** A row as it is asked of a worker. */
export interface AskedRow {
  request: ChatRequest;
  /** What it says itself. */
  own: Partial<OrchestrateChatInput>;
  /** As it stands in its file: the cause lies in its column, where it has one. */
  record: Readonly<Record<string, unknown>>;
}

/** @throws UnservedRow */
export function refuseUnserved({ request, own, record }: AskedRow, served: Served): void {
  const { connection, model } = request;
  const { unknownModels, unknownConnections = [], known = {}, maxPromptBytes = Infinity } = served;
  const column = (name: string): string | undefined => (Object.hasOwn(record, name) ? name : undefined);
  if (unknownConnections.includes(connection)) {
    const remedy = `use ${oneOf(known.connections) ?? 'one that it has'}, or add it to its configuration`;
    const option = own.connection === undefined ? 'connection' : undefined;
    throw new UnservedRow(`The worker has no connection "${connection}"; ${remedy}.`, column('connection'), option);
  }
  if (unknownModels.some((one) => one.connection === connection && one.model === model)) {
    const listed = oneOf(known.models?.[connection]) ?? 'one that "models" lists';
    const remedy = `use ${listed}, or give the user access to it`;
    // Where the row names the connection, the options' model may be right for all others.
    const isCommon = own.model === undefined && own.models === undefined && own.connection === undefined;
    throw new UnservedRow(
      `Open WebUI has no model "${model}" for connection ${connection}; ${remedy}.`,
      column('model'),
      isCommon ? 'model' : undefined,
    );
  }
  const bytes = promptBytesOf(request);
  if (bytes > maxPromptBytes) {
    const what = `The prompt, with the system prompt and the messages before it, has ${bytes} bytes`;
    const remedy = 'shorten it, or upload it to Open WebUI as a file and name that in files';
    throw new UnservedRow(
      `${what}, more than the ${maxPromptBytes} that the worker takes (ORCHESTRATOR_MAX_PROMPT_BYTES); ${remedy}.`,
      column('prompt'),
    );
  }
}

function oneOf(names: readonly string[] = []): string | undefined {
  if (names.length < 2) return names[0];
  return `one of ${names.join(', ')}`;
}

/** Models that the connections' users cannot see, and connections that the worker does not have. */
export class UnservedRowsError extends OrchestrationError {
  readonly models: PreparedBatch['unknownModels'];
  readonly connections: readonly string[];

  constructor({ unknownModels, unknownConnections = [] }: Pick<PreparedBatch, 'unknownModels' | 'unknownConnections'>) {
    const names = unknownModels.map(({ model, connection }) => `"${model}" (connection ${connection})`).join(', ');
    const [type, message] =
      unknownConnections.length > 0
        ? [
            FAILURES.UnknownConnection,
            `The worker has no connection ${unknownConnections.map((name) => `"${name}"`).join(', ')}; correct the rows, or add it to the worker's configuration`,
          ]
        : [FAILURES.ModelNotFound, `Open WebUI has no model ${names}; correct the rows, or give its user access to it`];
    super(type, message);
    this.name = 'UnservedRowsError';
    this.models = unknownModels;
    this.connections = unknownConnections;
  }
}

export function unservedIn(prepared: PreparedBatch): UnservedRowsError | undefined {
  const { unknownModels, unknownConnections = [] } = prepared;
  return unknownModels.length + unknownConnections.length > 0 ? new UnservedRowsError(prepared) : undefined;
}
