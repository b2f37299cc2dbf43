/** Cells of a CSV made into fields of a conversation's input: cells are text, fields may be lists and objects. */
import type { OrchestrateChatInput } from '../../contract';
import { RowError } from './rowError';

/** Set by the product itself. */
type InternalField = 'redrive' | 'admission' | 'maxOutcomeBytes';
type Field = Exclude<keyof OrchestrateChatInput, InternalField>;
/** `list`: separated by commas, or JSON. */
type Reading = 'text' | 'list' | 'json';

const READINGS: Record<Field, Reading> = {
  connection: 'text',
  prompt: 'text',
  messages: 'json',
  system: 'text',
  model: 'text',
  models: 'list',
  chat: 'json',
  title: 'text',
  tags: 'list',
  folder_id: 'text',
  files: 'json',
  knowledge: 'list',
  requireAllFiles: 'json',
  params: 'json',
  features: 'json',
  variables: 'json',
  background_tasks: 'json',
  filter_ids: 'list',
  tool_ids: 'list',
  session_id: 'text',
  replyFormat: 'text',
  maxGenerations: 'json',
  regenerateUnexplained: 'json',
  replyBudgetMs: 'json',
  serverBudgetMs: 'json',
  providerBudgetMs: 'json',
  runBudgetMs: 'json',
};

/** Whether a row may give a field of this name. */
export function isField(name: string): name is Field {
  return Object.hasOwn(READINGS, name);
}

/** @returns undefined for a cell that says nothing. @throws RowError */
export function fieldOf(name: Field, cell: string): unknown {
  if (cell.trim() === '') return undefined;
  const reading = READINGS[name];
  if (reading === 'text') return cell;
  if (reading === 'json' || cell.trimStart().startsWith('[')) return jsonOf(name, cell);
  return cell
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function jsonOf(name: Field, cell: string): unknown {
  try {
    return JSON.parse(cell);
  } catch {
    throw new RowError(
      `The cell is not JSON, as ${name} needs it; write it like {"temperature": 0}, [1, 2], 5 or true.`,
      name,
    );
  }
}
