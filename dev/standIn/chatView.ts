import type { Behaviour } from './behaviour';
import type { ChatRecord, Json } from './documents';

/** A chat as the API shows it. */
export function chatView(chat: ChatRecord, is: Behaviour): Json {
  return {
    id: chat.id,
    user_id: chat.userId,
    title: chat.title,
    chat: structuredClone(chat.chat),
    updated_at: chat.updatedAt,
    created_at: chat.createdAt,
    share_id: null,
    archived: chat.archived,
    pinned: chat.pinned,
    meta: chat.meta,
    ...(is.chatHasVariables && { variables: chat.variables }),
    folder_id: chat.folderId,
    ...(is.chatHasTasks && { tasks: null, summary: null }),
    ...(is.chatHasVariables && { current_message_id: chat.chat.history?.currentId ?? null, context_usage: null }),
  };
}

/** A chat as a row of a list. */
export function rowView(chat: ChatRecord, is: Behaviour, active: boolean): Json {
  return {
    id: chat.id,
    title: chat.title,
    updated_at: chat.updatedAt,
    created_at: chat.createdAt,
    ...(is.rowHasLastRead && { last_read_at: is.lastReadIsSet ? chat.createdAt : null }),
    ...(is.rowHasSnippet && { snippet: null }),
    ...(is.rowHasActive && { active }),
    ...(is.rowHasArchived && { archived: chat.archived }),
  };
}
