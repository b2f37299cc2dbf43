import type { Server as HttpServer } from 'node:http';
import { Server, type Socket } from 'socket.io';
import type { Behaviour } from './behaviour';
import type { Documents, User } from './documents';

export interface ChatEvent {
  chat_id: string;
  message_id: string | null;
  data: { type: string; data?: unknown };
}

/**
 * The Socket.IO end. A JWT, in the handshake or by `user-join`, brings a socket all events of its user; an API key
 * connects just as well and never hears anything.
 */
export class Sockets {
  readonly #server: Server;
  readonly #event: string;

  constructor(
    http: HttpServer,
    is: Behaviour,
    private readonly documents: Documents,
  ) {
    this.#event = is.eventsRenamed ? 'events' : 'chat-events';
    this.#server = new Server(http, { path: '/ws/socket.io', serveClient: false });
    this.#server.on('connection', (socket) => this.#welcome(socket));
  }

  emit(userId: string, event: ChatEvent): void {
    this.#server.to(`user:${userId}`).emit(this.#event, event);
  }

  /** Without a word, as where a process dies or a proxy ends what it thinks idle. */
  cut(): void {
    for (const { conn } of this.#server.sockets.sockets.values()) conn.close();
  }

  close(): void {
    this.cut();
    void this.#server.close();
  }

  #welcome(socket: Socket): void {
    this.#join(socket, socket.handshake.auth);
    socket.on('user-join', (data: { auth?: unknown } | undefined, acknowledge?: (user?: unknown) => void) => {
      const user = this.#join(socket, data?.auth);
      if (user) acknowledge?.({ id: user.id, name: user.name });
      else acknowledge?.();
    });
  }

  #join(socket: Socket, auth: unknown): User | undefined {
    const token = (auth as { token?: string } | undefined)?.token ?? '';
    const user = this.documents.user(this.documents.tokens.get(token));
    if (user) void socket.join(`user:${user.id}`);
    return user;
  }
}
