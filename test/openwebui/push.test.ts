import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server as SocketServer, type Socket } from 'socket.io';
import type { Credentials } from '../../src/openwebui/credentials';
import { Push, tellsOfAnEnd, type Heard } from '../../src/openwebui/push';
import { RELEASES, exchangesOf } from './recordings';

interface RecordedEvent {
  event: string;
  chat_id: string;
  data: { type: string; data?: { active?: boolean; done?: boolean } };
}

let http: Server;
let sockets: SocketServer;
let push: Push;
let connected: Socket[];
let joins: string[];
/** What `user-join` is acknowledged with. */
let user: (token: string) => object | null;
let events: Heard[];
let gaps: number;
let rejected: string[];
let breaks: number;
let token: string;

const credentials: Credentials = {
  push: true,
  token: async () => token,
  rejected: (refused) => void rejected.push(refused),
};

beforeEach(async () => {
  [connected, joins, events, gaps, rejected, breaks] = [[], [], [], 0, [], 0];
  token = 'jwt';
  user = () => ({ id: 'u', name: 'Ada' });
  http = createServer();
  sockets = new SocketServer(http, { path: '/base/ws/socket.io', transports: ['websocket'] });
  sockets.on('connection', (socket) => {
    connected.push(socket);
    socket.on('user-join', ({ auth }: { auth: { token: string } }, acknowledge: (user: object | null) => void) => {
      joins.push(auth.token);
      acknowledge(user(auth.token));
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  push = new Push({
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/base`,
    credentials,
    onEvent: (event) => void events.push(event),
    onGap: () => (gaps += 1),
    onBreak: () => (breaks += 1),
    rejoinPauseMs: 50,
    answerTimeoutMs: 300,
  });
});
afterEach(async () => {
  push.close();
  await sockets.close();
});

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await sleep(5);
};
const joined = async (): Promise<Socket> => {
  push.open();
  await until(() => push.hearingSince !== undefined);
  const socket = connected.at(-1);
  if (socket === undefined) throw new Error('nobody connected');
  return socket;
};
const completion = (chat_id: string, data: object = { done: true }) => ({
  chat_id,
  message_id: 'm',
  data: { type: 'chat:completion', data },
});

describe('the event socket', () => {
  it('hears from the moment at which the server has said who we are', async () => {
    const before = performance.now();
    await joined();
    expect(joins).toEqual(['jwt']);
    expect(push.hearingSince).toBeGreaterThanOrEqual(before);
    expect(gaps).toBe(1);
  });

  it.each(['chat-events', 'events'])(
    'tells of what is named %s, whether it is an end, and what it shows',
    async (name) => {
      const socket = await joined();
      socket.emit(name, completion('c1'));
      socket.emit(name, completion('c2', { content: 'Par' }));
      socket.emit(name, { chat_id: 'c3', data: { type: 'chat:active', data: { active: false } } });
      await until(() => events.length === 3);
      expect(events).toEqual([
        { chatId: 'c1', messageId: 'm', isEnd: true },
        { chatId: 'c2', messageId: 'm', isEnd: false, shown: { content: 'Par' } },
        { chatId: 'c3', messageId: undefined, isEnd: true },
      ]);
    },
  );

  it('does not mind what it does not understand', async () => {
    const socket = await joined();
    for (const odd of [
      null,
      'text',
      7,
      {},
      { chat_id: 'x' },
      { chat_id: 'x', message_id: 7, data: { type: 'chat:active' } },
    ]) {
      socket.emit('events', odd);
    }
    socket.emit('events', completion('c'));
    await until(() => events.length === 1);
    expect(events).toMatchObject([{ chatId: 'c' }]);
  });

  it('opens once, however often it is asked to', async () => {
    push.open();
    await joined();
    push.open();
    await sleep(50);
    expect(connected).toHaveLength(1);
  });

  it.each([
    ['the connection breaks', (socket: Socket) => socket.conn.close()],
    [
      'the server disconnects it, after which it would not come back by itself',
      (socket: Socket) => socket.disconnect(true),
    ],
  ])('says that events may be missed when %s, and comes back', async (_, break_) => {
    const socket = await joined();
    break_(socket);
    await until(() => push.hearingSince === undefined);
    expect(gaps).toBe(2);
    await until(() => push.hearingSince !== undefined);
    expect(gaps).toBe(3);
    connected.at(-1)?.emit('events', completion('c'));
    await until(() => events.length === 1);
  });

  it.each([
    ['refuses it', (next: (error?: Error) => void) => next(new Error('its database is locked'))],
    ['answers nothing', () => undefined],
  ])('tries again where the server %s, as it does while a part of it is away', async (_, greet) => {
    let greetings = 0;
    sockets.use((_socket, next) => {
      greetings += 1;
      if (greetings <= 2) greet(next);
      else next();
    });
    await joined();
    expect(greetings).toBe(3);
  });

  it('gives a slow server more time each time', async () => {
    sockets.use((_socket, next) => void setTimeout(next, 700));
    await joined();
  });

  it('greets a connection once, however slow the token was', async () => {
    const given: Array<(token: string) => void> = [];
    const slow = { ...credentials, token: () => new Promise<string>((resolve) => given.push(resolve)) };
    const { port } = http.address() as AddressInfo;
    const other = new Push({
      url: `http://127.0.0.1:${port}/base`,
      credentials: slow,
      onEvent: () => {},
      onGap: () => {},
    });
    const connections: Array<{ close(): void }> = [];
    sockets.engine.on('connection', (connection: { close(): void }) => connections.push(connection));
    other.open();
    await until(() => given.length === 1);
    for (const connection of connections) connection.close();
    await until(() => given.length === 2);
    for (const give of given) give('jwt');
    await until(() => connected.length === 1);
    await sleep(100);
    expect(connected).toHaveLength(1);
    other.close();
  });

  it('does not believe to hear with a token that the server does not know, and looks for a newer one', async () => {
    user = (given) => (given === 'renewed' ? { id: 'u' } : null);
    push.open();
    await until(() => rejected.length === 1);
    expect(rejected).toEqual(['jwt']);
    expect(push.hearingSince).toBeUndefined();
    token = 'renewed';
    await until(() => push.hearingSince !== undefined);
    expect(joins.at(-1)).toBe('renewed');
  });

  it('tells that the server went away where the connection broke off', async () => {
    const socket = await joined();
    expect(breaks).toBe(0);
    socket.conn.close();
    await until(() => breaks === 1);
    await until(() => push.hearingSince !== undefined);
    expect(breaks).toBe(1);
  });

  it('does not take for that a server that sends it away, nor its own end', async () => {
    const socket = await joined();
    socket.disconnect();
    await until(() => push.hearingSince === undefined);
    await until(() => push.hearingSince !== undefined);
    push.close();
    await sleep(50);
    expect(breaks).toBe(0);
  });

  it('is silent after its end', async () => {
    const socket = await joined();
    push.close();
    socket.emit('events', completion('c'));
    socket.disconnect(true);
    await sleep(100);
    expect([push.hearingSince, events, connected.length]).toEqual([undefined, [], 1]);
  });
});

describe.each(RELEASES)('what the socket of %s carried', (release) => {
  const exchanges = exchangesOf(release, 'socket-events') as Array<{ name: string; events?: RecordedEvent[] }>;
  const recorded = exchanges.flatMap((exchange) => exchange.events ?? []);
  const [first] = recorded;
  const answered = recorded.filter((event) => event.chat_id === first?.chat_id);

  it('has a name that is listened to, and tells of the end of a reply, last of all', () => {
    expect(['events', 'chat-events']).toContain(first?.event);
    const telling = answered.map(({ data }) => tellsOfAnEnd(data.type, data.data ?? {}));
    expect(telling.indexOf(true)).toBeGreaterThan(2);
    expect(telling).toContain(true);
  });
});
