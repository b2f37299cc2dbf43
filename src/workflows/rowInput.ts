/** What a row and all rows of its batch say, put together: in the same way where it is checked, run and read back. */
import type { OrchestrateChatInput } from '../contract';

type Fields = Partial<OrchestrateChatInput>;

/** What the row says holds: a field at a time, of its params each by its name, and one model however it is named. */
export function rowInput({ models, ...common }: Fields, own: Fields): Fields {
  const shared = models === undefined || own.model !== undefined ? common : { ...common, models };
  return { ...shared, ...own, ...mergedParams(common, own) };
}

/** What is no object stays as it is, to be refused. */
export function mergedParams(common: Fields, own: Fields): Pick<Fields, 'params'> {
  if (!isObject(common.params) || !isObject(own.params)) return {};
  return { params: { ...common.params, ...own.params } };
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
