/**
 * Chats in which a turn of this process has its place but is not triggered yet: nothing on the server tells of it, and another
 * turn would take the same place.
 */

import { msSince, now, type Instant } from '../clocks';

/** How long a turn keeps others out, in milliseconds: its trigger may be sent by another process, or wait for its turn. */
const LONGEST_MS = 30_000;

export class Placements {
  private readonly begun = new Map<string, { messageId: string; at: Instant<'process'> }>();

  /** @returns false while another turn is being placed in the chat */
  begin(chatId: string, messageId: string): boolean {
    for (const [id, { at }] of this.begun) {
      if (msSince(at) < LONGEST_MS) break;
      this.begun.delete(id);
    }
    const other = this.begun.get(chatId);
    if (other !== undefined && other.messageId !== messageId) return false;
    // Deleted first, so that the map stays in the order of time.
    this.begun.delete(chatId);
    this.begun.set(chatId, { messageId, at: now() });
    return true;
  }

  /** It was triggered, or will not be. */
  end(chatId: string, messageId: string): void {
    if (this.begun.get(chatId)?.messageId === messageId) this.begun.delete(chatId);
  }
}
