/** What a person does in a chat, as Open WebUI's page does it. */
import { randomUUID } from 'node:crypto';
import { call, chatOf, chatsWith, type StoredChat, type StoredMessage } from './outside';
import type { Scene } from './scene';
import { isAtLeast } from './steps';

export async function chatIdOf({ place, marker }: Scene): Promise<string> {
  const [chat] = await chatsWith(place.person, marker);
  return (chat as StoredChat).id;
}

export function newMessage(id: string, role: string, content: string): StoredMessage & Record<string, unknown> {
  return {
    id,
    role,
    content,
    timestamp: Math.floor(Date.now() / 1000),
    ...(role === 'user' ? {} : { done: true, model: 'model-a' }),
  };
}

/** The whole history is written as it was read, with the person's messages in it. */
export async function addMessages(
  { place: { person } }: Scene,
  chatId: string,
  add: (messages: Record<string, StoredMessage>, tip: string) => { parent: string; child: string; current: string },
): Promise<void> {
  const { chat } = await chatOf(person, chatId);
  const messages = { ...chat.history?.messages };
  const { parent, child, current } = add(messages, chat.history?.currentId ?? '');
  messages[parent] = { ...messages[parent], childrenIds: [...(messages[parent]?.childrenIds ?? []), child] };
  await call(person, 'POST', `/api/v1/chats/${chatId}`, { chat: { history: { messages, currentId: current } } });
}

/** A question that a person asks in the run's chat, and the answer that the model writes to it. */
export interface OwnQuestion {
  chatId: string;
  userMessageId: string;
  messageId: string;
  prompt: string;
}

/** Asks below the message that the chat shows. @param directives for the model */
export async function askInChat(scene: Scene, directives: string): Promise<OwnQuestion> {
  const { place, release } = scene;
  const [userMessageId, messageId] = [randomUUID(), randomUUID()];
  const [chatId, prompt] = [await chatIdOf(scene), `p${randomUUID()} ${directives}`];
  const parent = (await chatOf(place.person, chatId)).chat.history?.currentId ?? '';
  const asked = { ...newMessage(userMessageId, 'user', prompt), parentId: parent, childrenIds: [messageId] };
  await addMessages(scene, chatId, (messages) => {
    const answer = { ...newMessage(messageId, 'assistant', ''), done: false };
    messages[userMessageId] = asked;
    messages[messageId] = { ...answer, parentId: userMessageId, childrenIds: [] };
    return { parent, child: userMessageId, current: messageId };
  });
  await call(place.person, 'POST', '/api/chat/completions', {
    ...{ chat_id: chatId, id: messageId, session_id: randomUUID(), model: 'model-a', stream: true },
    ...{ messages: [{ role: 'user', content: prompt }], background_tasks: {} },
    // The newest take the question from the one field, those before them from the other, the oldest from neither.
    ...(isAtLeast(release, '0.6.41') ? { parent_id: userMessageId } : {}),
    ...(isAtLeast(release, '0.9.0') ? { user_message: asked } : {}),
    ...(isAtLeast(release, '0.6.42') && !isAtLeast(release, '0.9.0') ? { parent_message: asked } : {}),
  });
  return { chatId, userMessageId, messageId, prompt };
}

/** What the model has made of it. */
export function generationOf({ place: { models } }: Scene, { prompt }: OwnQuestion) {
  return models.flatMap(({ log }) => log).find((one) => one.kind === 'generation' && one.prompt.includes(prompt));
}
