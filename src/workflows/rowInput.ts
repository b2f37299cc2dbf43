/** What a row and all rows of its batch say, put together: in the same way where it is checked, run and read back. */
import type { OrchestrateChatInput } from '../contract';

type Fields = Partial<OrchestrateChatInput>;

/** What the row says holds: a field at a time, of its params each by its name, and one model however it is named. */
export function rowInput(common: Fields, own: Fields): Fields {
  const input = { ...common, ...own, ...mergedParams(common, own) };
  if (own.model !== undefined && own.models === undefined) delete input.models;
  return input;
}

/** What is no object stays as it is, to be refused. */
export function mergedParams(common: Fields, own: Fields): Pick<Fields, 'params'> {
  if (!isObject(common.params) || !isObject(own.params)) return {};
  return { params: { ...common.params, ...own.params } };
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
