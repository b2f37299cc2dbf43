import type { Message } from './documents';
import type { World } from './world';

/** Replies under way, chat → message → what a reader sees of it. It is the process's memory, so a kill empties it. */
export class Partials {
  readonly #replies = new Map<string, Map<string, Message>>();

  set(chatId: string, messageId: string, message: Message): void {
    const chat = this.#replies.get(chatId) ?? new Map<string, Message>();
    this.#replies.set(chatId, chat.set(messageId, message));
  }

  delete(chatId: string, messageId: string): void {
    const chat = this.#replies.get(chatId);
    chat?.delete(messageId);
    if (chat?.size === 0) this.#replies.delete(chatId);
  }

  of(chatId: string): Iterable<[string, Message]> {
    return this.#replies.get(chatId) ?? [];
  }
}

/**
 * What `GET /chats/{id}` lays over the stored messages: nothing on releases that keep a running reply to themselves, nor for a chat
 * without a listed task.
 */
export function partialOf(world: World, chatId: string): Iterable<[string, Message]> {
  const isShown = world.is.partialReads && world.tasks.list.of(chatId).length > 0;
  return isShown ? world.partials.of(chatId) : [];
}
