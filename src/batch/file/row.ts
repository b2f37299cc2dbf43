/** A record of a batch file made into the input of one conversation. */
import { InvalidInputError, parseChatInput, type ChatRequest } from '../../chatInput';
import type { BatchRow } from '../../batchContract';
import { LONGEST_REQUEST_KEY, type OrchestrateChatInput } from '../../contract';
import { rowInput } from '../../workflows/rowInput';
import { fieldOf, isField } from './cells';
import { isObject } from './jsonValue';
import { fieldsOfRequest, isOpenAIRequest } from './openAIRequest';
import { RowError } from './rowError';
import type { Served } from './served';
import { TemplateError, type Template } from './template';

type Fields = Partial<OrchestrateChatInput>;
type RecordValue = Readonly<Record<string, unknown>>;

export interface RowOptions {
  /** What holds for each row that does not say it itself, a field at a time, and of params each by its name. It is not copied into the rows. */
  common: Fields;
  /** Characters of the batch's key, which a row's id follows in its request key. */
  batchKeyLength: number;
  /** Makes the prompt. */
  template?: Template | undefined;
  /** What a worker has said of the rows: those that it does not serve cannot be carried out. */
  served?: Served | undefined;
}

export interface CheckedRow {
  row: BatchRow;
  /** What it comes to together with what is common. */
  request: ChatRequest;
}

/** Longest name of a model or a connection, in characters. */
const LONGEST_NAME = 256;
/** How long a prompt may be is for the worker to say. */
const OF_THE_WORKER = Infinity;
const ID_NAMES = ['id', 'custom_id'] as const;
/** They identify a row or its chat even where a template names them too. */
const KEPT_BESIDE_TEMPLATE = ['model', 'connection', 'title'];
/** The product itself sets them. */
const INTERNAL_FIELDS = ['redrive', 'admission', 'maxOutcomeBytes'];
const NO_MODEL = 'The row names no model, and the options name none; name one in model, or give --model.';

/** @param position of the row in its file, counted from 1: its id is made of it where it has none. @throws RowError */
export function idOf(record: RecordValue, position: number, { batchKeyLength }: RowOptions): string {
  const [name, other] = idNamesIn(record);
  if (name === undefined) return `row-${position}`;
  const id = idIn(record, name);
  if (other !== undefined && idIn(record, other) !== id) {
    throw new RowError('The row has both id and custom_id, and they differ; give one of them.', other);
  }
  const longest = LONGEST_REQUEST_KEY - batchKeyLength - 1;
  if (id.length > longest) {
    throw new RowError(`The id has ${id.length} characters; with this batch's key it may have ${longest}.`, name);
  }
  return id;
}

/** Under which name a record gives its id. */
export function idNameIn(record: RecordValue): string | undefined {
  return idNamesIn(record)[0];
}

function idNamesIn(record: RecordValue): string[] {
  return ID_NAMES.filter((name) => Object.hasOwn(record, name));
}

function idIn(record: RecordValue, name: string): string {
  const value = record[name];
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return String(value);
    throw new RowError('The id is a number that is not kept exactly; write it as text, in quotes.', name);
  }
  if (typeof value !== 'string') {
    throw new RowError('The id is neither text nor a whole number; give one of these, or leave it out.', name);
  }
  if (value.trim() === '') throw new RowError('The id is blank; give one, or leave it out in all rows.', name);
  if (value !== value.trim()) throw new RowError('The id begins or ends with a blank; remove it.', name);
  if (/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(value)) {
    throw new RowError('The id holds a control character, a line break or half a character; remove it.', name);
  }
  return value;
}

/** @param isCsv its cells are text, and columns that are no field of a conversation are allowed. @throws RowError */
export function rowOf(id: string, record: RecordValue, isCsv: boolean, options: RowOptions): CheckedRow {
  const { common } = options;
  const own = fieldsOf(record, isCsv, options);
  refuseSecondSystem(own);
  const fields = heldAgainst(common, own);
  const internal = internalIn(fields);
  if (internal !== undefined) {
    throw new RowError(`The row gives ${internal}, which rows may not set; remove it.`, internal);
  }
  refuseUnkept(fields.params, 'params');
  const request = parsed(rowInput(common, fields), isCsv ? record : {});
  return { row: { id, input: fields }, request };
}

/** @param common what all rows have in common @throws RowError where that is faulty, whatever a row adds */
export function refuseFaulty(common: Fields): void {
  const internal = internalIn(common);
  if (internal !== undefined) throw new RowError(`${internal} is for the product itself to set; remove it.`);
  refuseUnkept(common.params, 'params');
  const { model, models, prompt, messages } = common;
  const isSaid = prompt !== undefined || (Array.isArray(messages) && messages.at(-1)?.role === 'user');
  const isNamed = model !== undefined || models?.[0] !== undefined;
  parsed({ ...common, ...(isNamed ? {} : { model: 'any' }), ...(isSaid ? {} : { prompt: 'any' }) }, {});
}

function internalIn(fields: Fields): string | undefined {
  return INTERNAL_FIELDS.find((name) => name in fields);
}

/** @throws RowError where a value holds, however deep, a whole number that JavaScript has read as another one */
function refuseUnkept(value: unknown, name: string): void {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    const remedy = 'write it as text, in quotes';
    throw new RowError(`In ${name} stands a whole number that is not kept exactly, ${value}; ${remedy}.`, name);
  }
  if (typeof value !== 'object' || value === null) return;
  for (const one of Object.values(value)) refuseUnkept(one, name);
}

function parsed(input: Fields, columns: RecordValue): ChatRequest {
  const request = inColumn(columns, () => parseChatInput(input, { maxPromptBytes: OF_THE_WORKER }));
  for (const name of ['model', 'connection'] as const) {
    const { length } = request[name];
    if (length <= LONGEST_NAME) continue;
    const column = name in columns ? name : undefined;
    throw new RowError(`The ${name} has ${length} characters, more than ${LONGEST_NAME}; correct its name.`, column);
  }
  return request;
}

/** Whatever is wrong with a field lies in the column of its name, where there is one. */
function inColumn<T>(columns: RecordValue, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    const { message } = error;
    const [, name = /^The input has no prompt/.test(message) ? 'prompt' : undefined] =
      /^Input field (\w+)/.exec(message) ?? [];
    const said = /^Input field model is missing/.test(message) ? NO_MODEL : message;
    throw new RowError(said, name !== undefined && Object.hasOwn(columns, name) ? name : undefined);
  }
}

/** Columns, or names of a row's values beside a template, that nothing uses. */
export function unusedNames(names: readonly string[], template?: Template): string[] {
  const used = (name: string): boolean =>
    isField(name) || isId(name) || INTERNAL_FIELDS.includes(name) || template?.columns.includes(name) === true;
  return names.filter((name) => !used(name));
}

function isId(name: string): boolean {
  return ID_NAMES.some((id) => id === name);
}

function fieldsOf(record: RecordValue, isCsv: boolean, { template }: RowOptions): Fields {
  const values = Object.fromEntries(Object.entries(record).filter(([name]) => !isId(name)));
  if (!isCsv && isOpenAIRequest(record, template !== undefined)) {
    if (template === undefined) return fieldsOfRequest(values);
    throw new RowError('The row is an OpenAI request with messages of its own; leave the template out.');
  }
  if (template === undefined) return isCsv ? fieldsOfCells(values) : values;
  const fields = fieldsBeside(template, values);
  if (fields['prompt'] !== undefined) {
    throw new RowError(
      'The row has a prompt, but the template makes it; name it there as {{prompt}}, or remove it.',
      'prompt',
    );
  }
  const prompt = filled(template, record);
  return { ...(isCsv ? fieldsOfCells(fields) : fields), prompt };
}

function fieldsOfCells(cells: Record<string, unknown>): Fields {
  const fields = Object.entries(cells).flatMap(([name, cell]) => {
    const text = String(cell);
    if (INTERNAL_FIELDS.includes(name)) return text.trim() === '' ? [] : [[name, text]];
    const value = isField(name) ? fieldOf(name, text) : undefined;
    return value === undefined ? [] : [[name, value]];
  });
  return Object.fromEntries(fields) as Fields;
}

/** Beside a template, a row is data: what is no field of a conversation only serves the template, if anything. */
function fieldsBeside(template: Template, values: Record<string, unknown>): Record<string, unknown> {
  const isKept = (name: string): boolean =>
    (isField(name) && !template.columns.includes(name)) ||
    KEPT_BESIDE_TEMPLATE.includes(name) ||
    INTERNAL_FIELDS.includes(name);
  return Object.fromEntries(Object.entries(values).filter(([name]) => isKept(name)));
}

function filled(template: Template, record: RecordValue): string {
  try {
    template.check(Object.keys(record));
  } catch (error) {
    if (error instanceof TemplateError) throw new RowError(error.message);
    throw error;
  }
  for (const name of template.columns) refuseUnkept(record[name], name);
  return template.fill(Object.fromEntries(Object.entries(record).map(([name, value]) => [name, textOf(value)])));
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === null ? '' : JSON.stringify(value);
}

/** A model and a system prompt that the row says in another form than the common ones hold all the same. */
function heldAgainst(common: Fields, fields: Fields): Fields {
  const { models, ...others } = fields;
  const [model] = Array.isArray(models) && models.length === 1 ? models : [];
  if (common.model !== undefined && others.model === undefined && model !== undefined) {
    return heldAgainst(common, { ...others, model });
  }
  return common.system === undefined || fields.system !== undefined ? fields : withOwnSystem(fields);
}

function refuseSecondSystem({ system, messages }: Fields): void {
  if (system === undefined || !Array.isArray(messages) || !messages.some(isSystem)) return;
  throw new RowError('The row has a system prompt in system, and another one in messages; give one of them.');
}

function isSystem(message: unknown): message is { content: string } {
  return isObject(message) && message['role'] === 'system';
}

function withOwnSystem(fields: Fields): Fields {
  const { messages } = fields;
  if (!Array.isArray(messages)) return fields;
  const systems = messages.filter(isSystem).map(({ content }) => content);
  if (systems.length === 0 || systems.some((content) => typeof content !== 'string')) return fields;
  return { ...fields, messages: messages.filter((message) => !isSystem(message)), system: systems.join('\n\n') };
}
