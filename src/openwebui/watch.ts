/** One party that waits for something to happen to a message. */
import { msSince, now, type Instant } from '../clocks';
import type { Message } from './schemas';

/** Why a watch woke: `time` when nothing happened within the time asked for. */
export type WakeReason = 'event' | 'poll' | 'gap' | 'time';

/** Longer timers fire at once. */
const LONGEST_TIMER_MS = 2_147_483_647;

/** What is waited for. */
export interface Watched {
  chatId: string;
  messageId: string;
  /** The server's task; undefined where it is not known. */
  taskId?: string | undefined;
  /** It has just been triggered, and may have ended before long. @default false */
  isNew?: boolean;
}

/** A state that was seen already wakes again after this pause, in milliseconds: the first and the longest. It doubles. */
const SEEN_AGAIN_MS: [number, number] = [2_000, 30_000];

export class Watch implements Watched {
  readonly since = now();
  readonly chatId: string;
  readonly messageId: string;
  readonly taskId: string | undefined;
  readonly isNew: boolean;
  /** The chat's time of change when its tasks were last seen, by Open WebUI's clock. */
  updatedAt: number | undefined;
  /** What the last event that showed anything showed of the message. */
  shown: Message | undefined;
  /** When an event of the message was last heard, be that socket still joined or not. */
  livedAt: Instant<'process'> | undefined;
  private seenAgainMs = 0;
  private seenEndedAt: Instant<'process'> | undefined;
  private reason: WakeReason | undefined;
  private wakeUp: (() => void) | undefined;

  constructor(
    { chatId, messageId, taskId, isNew = false }: Watched,
    /** When an event of the message was last heard on the socket that is still joined. */
    public heardAt: Instant<'process'> | undefined,
    private readonly onClose: (watch: Watch) => void,
  ) {
    this.chatId = chatId;
    this.messageId = messageId;
    this.taskId = taskId;
    this.isNew = isNew;
    this.livedAt = heardAt;
  }

  /**
   * Waits until there is a reason to read the chat, at most `maxMs`. A reason that came before the call counts.
   * @throws the signal's reason when it is aborted
   */
  async moved(maxMs: number, signal: AbortSignal): Promise<WakeReason> {
    signal.throwIfAborted();
    if (this.reason === undefined && maxMs > 0) await this.wait(maxMs, signal);
    signal.throwIfAborted();
    const reason = this.reason ?? 'time';
    this.reason = undefined;
    return reason;
  }

  /** An event tells more than the other reasons, and is not hidden by one that came before. */
  wake(reason: WakeReason): void {
    if (this.reason === undefined || reason === 'event') this.reason = reason;
    this.wakeUp?.();
  }

  /**
   * A poll says what the server's task list does. It may lie for long: one process of several does not list what another one does.
   * So an end that nobody believed wakes again, but less and less often.
   */
  seen(state: 'at work' | 'ended'): void {
    if (state === 'at work') this.seenAgainMs = 0;
    else if (this.seenEndedAt === undefined || msSince(this.seenEndedAt) >= this.seenAgainMs) {
      const [shortest, longest] = SEEN_AGAIN_MS;
      this.seenAgainMs = Math.min(Math.max(shortest, this.seenAgainMs * 2), longest);
      this.seenEndedAt = now();
      this.wake('poll');
    }
  }

  close(): void {
    this.onClose(this);
  }

  private async wait(maxMs: number, signal: AbortSignal): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let onAbort: (() => void) | undefined;
    await new Promise<void>((resolve) => {
      this.wakeUp = resolve;
      onAbort = resolve;
      timer = setTimeout(resolve, Math.min(maxMs, LONGEST_TIMER_MS));
      signal.addEventListener('abort', onAbort, { once: true });
    });
    clearTimeout(timer);
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
    this.wakeUp = undefined;
  }
}
