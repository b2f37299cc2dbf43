/** What the chat page of each release sends when a person asks there; as its compiled front end does it, without the socket. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenWebUIUser } from './openWebUIUser';

export interface AskedByPerson {
  chatId: string;
  userMessageId: string;
  messageId: string;
}

/** A person asks in a new chat, and waits for the reply. */
export async function askOnPage(user: OpenWebUIUser, prompt: string, model = 'model-a'): Promise<AskedByPerson> {
  const ids = { userMessageId: randomUUID(), messageId: randomUUID() };
  const chatId = user.version.startsWith('0.6.')
    ? await onOldPage(user, prompt, model, ids)
    : await onPage(user, prompt, model, ids);
  while ((await user.tasks(chatId)).length > 0) await sleep(50);
  if (user.version.startsWith('0.6.')) await afterReplyOnOldPage(user, chatId, model, ids);
  return { chatId, ...ids };
}

type Ids = Omit<AskedByPerson, 'chatId'>;

function messagesOf(prompt: string, model: string, { userMessageId, messageId }: Ids) {
  const timestamp = Math.floor(Date.now() / 1000);
  const question = {
    id: userMessageId,
    parentId: null,
    childrenIds: [messageId],
    role: 'user',
    content: prompt,
    timestamp,
    models: [model],
  };
  const answer = {
    parentId: userMessageId,
    id: messageId,
    childrenIds: [],
    role: 'assistant',
    content: '',
    model,
    modelName: model,
    modelIdx: 0,
    timestamp,
  };
  return { question, answer };
}

/** The server makes the chat with the first completion. */
async function onPage(user: OpenWebUIUser, prompt: string, model: string, ids: Ids): Promise<string> {
  const { question } = messagesOf(prompt, model, ids);
  const answer = await user.call<{ chat_id: string }>('POST', '/api/chat/completions', {
    stream: true,
    model,
    session_id: randomUUID(),
    id: ids.messageId,
    parent_id: null,
    user_message: question,
    params: { function_calling: 'legacy' },
    background_tasks: {},
    features: {},
  });
  return answer.chat_id;
}

/** The page makes the chat, writes both messages, sends the whole conversation. */
async function onOldPage(user: OpenWebUIUser, prompt: string, model: string, ids: Ids): Promise<string> {
  const { question, answer } = messagesOf(prompt, model, ids);
  const messages = { [question.id]: question, [answer.id]: answer };
  const { id } = await user.call<{ id: string }>('POST', '/api/v1/chats/new', {
    chat: {
      id: '',
      title: 'New Chat',
      models: [model],
      params: {},
      history: { messages, currentId: answer.id },
      messages: [question, answer],
      tags: [],
      timestamp: Date.now(),
    },
  });
  await user.call('POST', '/api/chat/completions', {
    stream: true,
    model,
    messages: [{ role: 'user', content: prompt }],
    params: {},
    features: {},
    variables: {},
    session_id: randomUUID(),
    chat_id: id,
    id: answer.id,
    background_tasks: {},
  });
  return id;
}

/** It runs the outlet filters and writes its own copy of the history, in which the answer is done. */
async function afterReplyOnOldPage(user: OpenWebUIUser, chatId: string, model: string, ids: Ids): Promise<void> {
  const { chat } = await user.chat(chatId);
  const { history } = chat;
  if (history === undefined) throw new Error('the page lost its chat');
  const messages = [history.messages[ids.userMessageId], history.messages[ids.messageId]].map((message) => ({
    ...message,
  }));
  await user.call('POST', '/api/chat/completed', {
    model,
    messages,
    chat_id: chatId,
    session_id: randomUUID(),
    id: ids.messageId,
  });
  const answer = { ...history.messages[ids.messageId], done: true };
  await user.call('POST', `/api/v1/chats/${chatId}`, {
    chat: {
      models: [model],
      messages,
      history: { ...history, messages: { ...history.messages, [ids.messageId]: answer } },
      params: {},
      files: [],
    },
  });
}
