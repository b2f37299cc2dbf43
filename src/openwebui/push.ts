/**
 * Open WebUI's event socket. It carries every event of the user's chats, whoever started them, and repeats nothing: what it
 * says is a reason to look, never the truth.
 */
import { io, type Socket } from 'socket.io-client';
import { z } from 'zod';
import { now, type Instant } from '../clocks';
import type { Credentials } from './credentials';
import type { Message } from './schemas';

/** What of an event counts. */
export interface Heard {
  chatId: string;
  /** The message that it is about; undefined for what concerns the whole chat. */
  messageId: string | undefined;
  /** The reply may have ended, or moved on after its end. */
  isEnd: boolean;
  /** What it shows of the message, as up to 0.11.0 each event of a reply does: all of its text or output so far. */
  shown?: Message;
}

export interface PushOptions {
  /** Origin and optional base path of Open WebUI. */
  url: string;
  credentials: Credentials;
  onEvent: (event: Heard) => void;
  /** Events may have been missed from now on, or until now. */
  onGap: () => void;
  /** The connection broke off, or nothing is answered on it any more. */
  onBreak?: () => void;
  /** Pause before joining again after the server refused or disconnected us, in milliseconds. @default 2000 */
  rejoinPauseMs?: number;
  /**
   * How long the server may take for each of its two answers while we join, in milliseconds. For the first one it doubles each time it
   * was not enough, up to a minute. @default 10000
   */
  answerTimeoutMs?: number;
}

const REJOIN_PAUSE_MS = 2_000;
const ANSWER_TIMEOUT_MS = 10_000;
const MOST_ANSWER_TIMEOUT_MS = 60_000;

const eventSchema = z.looseObject({
  chat_id: z.string(),
  message_id: z.string().nullish(),
  data: z.looseObject({
    type: z.string(),
    data: z.looseObject({ active: z.boolean().optional(), done: z.boolean().optional() }).nullish(),
  }),
});

// Named `chat-events` up to 0.6.32 and `events` later.
const EVENT_NAMES = ['chat-events', 'events'];

/** Whether an event says that a task of the chat ended; the text of a running reply arrives as events, too. */
export function tellsOfAnEnd(
  type: string,
  data: { active?: boolean | undefined; done?: boolean | undefined },
): boolean {
  switch (type) {
    case 'chat:active':
      return data.active === false;
    case 'chat:completion':
      return data.done === true;
    case 'chat:message:error':
    case 'chat:tasks:cancel':
    case 'task-cancelled':
      return true;
    default:
      return false;
  }
}

export class Push {
  private socket: Socket | undefined;
  private since: Instant<'process'> | undefined;
  private rejoining: NodeJS.Timeout | undefined;
  private readonly answerTimeoutMs: number;
  private greetings = 0;
  /** Greetings since the last that was answered. */
  private unanswered = 0;

  constructor(private readonly options: PushOptions) {
    this.answerTimeoutMs = options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
  }

  /** Since when the server counts us among those who hear, without a break; undefined while it does not. */
  get hearingSince(): Instant<'process'> | undefined {
    return this.since;
  }

  /** Connects, and reconnects for ever until `close`. Harmless when called again. */
  open(): void {
    if (this.socket !== undefined) return;
    const url = new URL(this.options.url);
    const socket = io(url.origin, {
      path: `${url.pathname.replace(/\/+$/, '')}/ws/socket.io`,
      transports: ['websocket'],
      reconnectionDelay: 200,
      reconnectionDelayMax: 5_000,
      auth: (give) => void this.greet(socket, give),
    });
    this.socket = socket;
    socket.on('connect', () => {
      clearTimeout(this.rejoining);
      this.unanswered = 0;
      void this.join(socket);
    });
    socket.on('disconnect', (reason) => {
      if (!reason.startsWith('io ')) this.options.onBreak?.();
      this.deaf();
      // After this and after a refusal the socket does not connect again by itself.
      if (reason === 'io server disconnect') this.rejoin(socket);
    });
    socket.on('connect_error', () => {
      this.deaf();
      if (!socket.active) this.rejoin(socket);
    });
    for (const name of EVENT_NAMES) socket.on(name, (payload: unknown) => this.hear(payload));
  }

  close(): void {
    clearTimeout(this.rejoining);
    this.socket?.close();
    this.socket = undefined;
    this.since = undefined;
  }

  /**
   * A server whose own parts fail (its Redis, its database) answers the greeting with nothing, and keeps the connection: after a while
   * it is greeted on a new one. A slow one gets more time each time.
   */
  private async greet(socket: Socket, give: (auth: object) => void): Promise<void> {
    const greeting = ++this.greetings;
    const token = await this.options.credentials.token().catch(() => undefined);
    // The connection that this was for is no more.
    if (greeting !== this.greetings) return;
    give(token === undefined ? {} : { token });
    const limitMs = Math.min(this.answerTimeoutMs * 2 ** this.unanswered++, MOST_ANSWER_TIMEOUT_MS);
    this.rejoin(socket, limitMs);
  }

  /** The socket connects whatever the credential; only the acknowledgement of `user-join` tells that events will come. */
  private async join(socket: Socket): Promise<void> {
    const { id } = socket;
    try {
      const token = await this.options.credentials.token();
      const user: unknown = await socket.timeout(this.answerTimeoutMs).emitWithAck('user-join', { auth: { token } });
      // Closed or connected anew meanwhile: this answer is about a connection that is no more.
      if (socket.id !== id) return;
      if (user === null || typeof user !== 'object') {
        this.options.credentials.rejected(token);
        return this.rejoin(socket);
      }
      this.since = now();
    } catch {
      if (socket.id === id) this.rejoin(socket);
      return;
    }
    this.options.onGap();
  }

  /** A token may have been renewed, or a server be back, a little later. */
  private rejoin(socket: Socket, pauseMs = this.options.rejoinPauseMs ?? REJOIN_PAUSE_MS): void {
    this.deaf();
    if (this.socket !== socket) return;
    clearTimeout(this.rejoining);
    this.rejoining = setTimeout(() => socket.disconnect().connect(), pauseMs);
  }

  private deaf(): void {
    if (this.since === undefined) return;
    this.since = undefined;
    this.options.onGap();
  }

  private hear(payload: unknown): void {
    const event = eventSchema.safeParse(payload);
    if (!event.success) return;
    const { chat_id: chatId, message_id: messageId, data } = event.data;
    const { content, output } = data.data ?? {};
    const isShown = data.type === 'chat:completion' && (content !== undefined || output !== undefined);
    this.options.onEvent({
      chatId,
      messageId: messageId ?? undefined,
      isEnd: tellsOfAnEnd(data.type, data.data ?? {}),
      ...(isShown ? { shown: { content, output } } : {}),
    });
  }
}
