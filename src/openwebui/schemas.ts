/**
 * What we read of Open WebUI's answers. Every object passes unknown keys through, because a document that we read may be
 * written back, and each release adds keys.
 */
import { z } from 'zod';
import { isRecord, listOf, recordOf } from './json';

const seconds = z.number();
const uuidish = z.string().min(1);

/**
 * What a client, a filter or a task model may have stored in any shape. It is kept as it is; messageParts.ts says what it means,
 * and an odd value means nothing. So one odd message does not make its chat unreadable.
 */
const stored = z.unknown().optional();

/** A node of `chat.history.messages`. People, other clients and old releases leave things out. */
export const messageSchema = z.looseObject({
  id: stored,
  role: stored,
  content: stored,
  /** Null at a root. Not checked either: of other people's messages `parentIdOf` tells it. */
  parentId: z.custom<string | null>().optional(),
  childrenIds: stored,
  timestamp: stored,
  model: stored,
  models: stored,
  done: stored,
  error: stored,
  output: stored,
  usage: stored,
  followUps: stored,
  sources: stored,
  files: stored,
  meta: stored,
});
export type Message = z.infer<typeof messageSchema>;

// Not a record of zod's, which leaves the id `__proto__` out.
const messagesById = z.unknown().transform((value): Record<string, Message> => {
  const isMessage = (entry: [string, unknown]): entry is [string, Message] => isRecord(entry[1]);
  return Object.fromEntries(Object.entries(recordOf(value)).filter(isMessage));
});

/** `chat.history`: all messages by id, and the tip that the page shows. What is no object is no message, and left out. */
export const historySchema = z.looseObject({
  messages: messagesById,
  currentId: z.string().nullish().catch(null),
});
export type History = z.infer<typeof historySchema>;

/** The document that clients write: `chat` in a chat's answer. */
export const chatDocumentSchema = z.looseObject({
  title: stored,
  models: stored,
  params: stored,
  files: stored,
  tags: stored,
  history: historySchema.optional().catch(undefined),
});
export type ChatDocument = z.infer<typeof chatDocumentSchema>;

/** ChatResponse of every release; times in seconds. */
export const chatSchema = z.looseObject({
  id: uuidish,
  user_id: z.string().optional(),
  title: z.string().nullish(),
  chat: chatDocumentSchema,
  created_at: seconds,
  updated_at: seconds,
  archived: z.boolean().nullish(),
  pinned: z.boolean().nullish(),
  folder_id: z.string().nullish(),
  meta: stored,
});
export type Chat = z.infer<typeof chatSchema>;

/** Of a list of whole chats those that can be read: one of an odd shape does not hide the others. */
export const readableChatsSchema = z.array(z.unknown()).transform((values): Chat[] =>
  values.flatMap((value) => {
    const { success, data } = chatSchema.safeParse(value);
    return success ? [data] : [];
  }),
);

/** A row of `/api/v1/chats/list`; `active` from 0.11.0. */
export const chatRowSchema = z.looseObject({
  id: uuidish,
  title: z.string().nullish(),
  created_at: seconds,
  updated_at: seconds,
  active: z.boolean().nullish(),
});
export type ChatRow = z.infer<typeof chatRowSchema>;
export const chatListSchema = z.array(chatRowSchema);

/** `parent_id` is null at the root; `created_at` in seconds. */
export const folderSchema = z.looseObject({
  id: uuidish,
  name: z.string(),
  parent_id: z.string().nullish(),
  created_at: seconds.nullish(),
});
export type Folder = z.infer<typeof folderSchema>;

export const modelSchema = z.looseObject({ id: z.string(), name: z.string().nullish() });
export const modelListSchema = z.looseObject({ data: z.array(modelSchema) });
export type Model = z.infer<typeof modelSchema>;

export const releaseSchema = z.looseObject({ version: z.string() });

/** The trigger's answer: `task_id` up to 0.8.12, `task_ids` from 0.9.0. */
export const triggerAnswerSchema = z.looseObject({
  status: z.union([z.boolean(), z.string()]).nullish(),
  task_id: z.string().nullish(),
  task_ids: z.array(z.string()).nullish(),
});

/** What a stop says it has come to; of any shape, since nothing hangs on it but whether there was a task. */
export const stopAnswerSchema = z.looseObject({ message: z.string().catch('') }).catch({ message: '' });

export const taskListSchema = z.looseObject({ task_ids: z.array(z.string()) });
export const allTasksSchema = z.looseObject({ tasks: z.array(z.string()) });
export const activeChatsSchema = z.looseObject({ active_chat_ids: z.array(z.string()) });

/** `/api/chat/completed` echoes the messages as the outlet filters leave them, which may be in no shape at all. */
export const completedSchema = z
  .unknown()
  .transform((value): Message[] => listOf(recordOf(value)['messages']).filter(isRecord));

const fileSchema = z.looseObject({
  id: uuidish,
  filename: z.string().nullish(),
  /** Of the text; there once the file was processed. */
  hash: z.string().nullish(),
  meta: z.looseObject({ name: z.string().nullish() }).nullish(),
  data: z
    .looseObject({ status: z.string().nullish(), error: z.unknown().optional(), content: z.string().nullish() })
    .nullish(),
});
export type KnowledgeFile = z.infer<typeof fileSchema>;
export { fileSchema };

/** A knowledge collection: files inline up to 0.6.41, paged on their own endpoint later. */
export const knowledgeSchema = z.looseObject({
  id: uuidish,
  name: z.string().nullish(),
  files: z.array(fileSchema).nullish(),
});
export type Knowledge = z.infer<typeof knowledgeSchema>;
export const knowledgeFilesSchema = z.looseObject({ items: z.array(fileSchema), total: z.number().nullish() });

export const fileStatusSchema = z.looseObject({ status: z.string(), error: z.unknown().optional() });

/** Sign-in and session; `expires_at` in seconds, null where tokens do not expire. */
export const sessionSchema = z.looseObject({
  id: z.string(),
  role: z.string().nullish(),
  token: z.string(),
  expires_at: z.number().nullish(),
});
export type Session = z.infer<typeof sessionSchema>;
