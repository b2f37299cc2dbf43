/** The documents of real servers in test/recordings: one folder a release, one file a scenario. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { ReplyProfile } from '../../src/openwebui/replyState';
import { chatSchema, taskListSchema, triggerAnswerSchema, type Chat } from '../../src/openwebui/schemas';

const FOLDER = path.join(__dirname, '..', 'recordings');

/** What of the recorded releases' capabilities the state of a reply depends on. */
export const PROFILES: Record<string, ReplyProfile> = {
  '0.6.15': { doneMark: 'none', taskIdOnMessage: false },
  '0.6.30': { doneMark: 'none', taskIdOnMessage: false },
  '0.6.41': { doneMark: 'none', taskIdOnMessage: false },
  '0.6.43': { doneMark: 'none', taskIdOnMessage: false },
  '0.7.2': { doneMark: 'none', taskIdOnMessage: false },
  '0.8.12': { doneMark: 'success', taskIdOnMessage: false },
  '0.9.6': { doneMark: 'success', taskIdOnMessage: false },
  '0.10.2': { doneMark: 'success', taskIdOnMessage: false },
  '0.11.4': { doneMark: 'always', taskIdOnMessage: false },
  '0.12.4': { doneMark: 'always', taskIdOnMessage: true },
};
export const RELEASES = Object.keys(PROFILES);

export interface Exchange {
  name: string;
  method?: string;
  path?: string;
  request?: Record<string, unknown>;
  status?: number;
  contentType?: string;
  response?: unknown;
  text?: string;
}

export function scenariosOf(release: string): string[] {
  return readdirSync(path.join(FOLDER, release)).map((file) => path.basename(file, '.json'));
}

/** The exchanges of a scenario; empty if the release has no recording of it. */
export function exchangesOf(release: string, scenario: string): Exchange[] {
  const file = path.join(FOLDER, release, `${scenario}.json`);
  if (!existsSync(file)) return [];
  return (JSON.parse(readFileSync(file, 'utf8')) as { exchanges: Exchange[] }).exchanges;
}

/** A task list and the chat that was read right after it. */
export interface Moment {
  label: string;
  taskIds: string[];
  chat: Chat;
  /** Assistant messages triggered before, with their tasks; a refused trigger has none. */
  triggered: Array<{ messageId: string; taskId: string | undefined }>;
  /** The assistant messages of the turn that was triggered last, or is about to be. */
  answers: string[];
}

export function momentsOf(release: string, scenario: string): Moment[] {
  const moments: Moment[] = [];
  const triggered: Moment['triggered'] = [];
  let taskIds: string[] = [];
  for (const { name, request, response } of exchangesOf(release, scenario)) {
    if (name === 'trigger') {
      const { task_ids, task_id } = triggerAnswerSchema.parse(response);
      const tasks = task_ids ?? [task_id ?? undefined];
      messageIdsIn(request ?? {}).forEach((messageId, index) => triggered.push({ messageId, taskId: tasks[index] }));
    } else if (name.endsWith(': tasks')) {
      taskIds = taskListSchema.parse(response).task_ids;
    } else if (name.endsWith(': chat')) {
      const chat = chatSchema.parse(response);
      const last = triggered.at(-1)?.messageId ?? chat.chat.history?.currentId ?? '';
      const parent = chat.chat.history?.messages[last]?.parentId;
      const answers = Object.entries(chat.chat.history?.messages ?? {})
        .filter(([, message]) => message.role === 'assistant' && message.parentId === parent)
        .map(([id]) => id);
      moments.push({ label: name.slice(0, -': chat'.length), taskIds, chat, triggered: [...triggered], answers });
    }
  }
  return moments;
}

function messageIdsIn(request: Record<string, unknown>): string[] {
  const many = request['message_ids'] as Array<{ message_id: string }> | undefined;
  return many === undefined ? [String(request['id'])] : many.map((entry) => entry.message_id);
}
