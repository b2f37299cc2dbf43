import { setTimeout as sleep } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import { isAtLeast, type Driver } from './driver';

interface Heard {
  name: string;
  chat_id: string;
  message_id: string | null;
  data: { type: string; data?: { done?: boolean } };
}

/** The event socket. */
export function aboutSockets(driver: () => Driver, release: string): void {
  const listen = async (token: string, heard: Heard[]): Promise<{ socket: Socket; joined: unknown }> => {
    const { url } = driver().server;
    const socket = io(url, { path: '/ws/socket.io', transports: ['websocket'], auth: { token } });
    for (const name of ['events', 'chat-events']) {
      socket.on(name, (event: Omit<Heard, 'name'>) => heard.push({ name, ...event }));
    }
    const joined: unknown = await socket.timeout(5_000).emitWithAck('user-join', { auth: { token } });
    return { socket, joined };
  };

  it("brings all of a person's events to a socket with their token, whatever session asked", async () => {
    const heard: Heard[] = [];
    const { socket, joined } = await listen(driver().server.person.token, heard);
    try {
      expect(joined).toMatchObject({ name: driver().server.person.name });
      const turn = await driver().ask('Tell me. [slow=20]');
      const isDone = (event: Heard) => event.data.type === 'chat:completion' && event.data.data?.done === true;
      const ours = () => heard.filter((event) => event.chat_id === turn.chatId);
      await driver().until(() => Promise.resolve(ours().some(isDone)));
      expect(new Set(ours().map((event) => event.name))).toEqual(
        new Set([isAtLeast(release, '0.6.33') ? 'events' : 'chat-events']),
      );
      expect(ours().find(isDone)?.message_id).toBe(turn.replyId);
    } finally {
      socket.disconnect();
    }
  });

  it('connects with an API key too, and never says anything', async () => {
    const heard: Heard[] = [];
    const { socket, joined } = await listen(await driver().server.makeApiKey(), heard);
    try {
      expect(joined ?? null).toBeNull();
      await driver().ask('Is anybody there?');
      await sleep(100);
      expect(heard).toEqual([]);
    } finally {
      socket.disconnect();
    }
  });

  if (isAtLeast(release, '0.6.26')) {
    it('tells of a failure', async () => {
      const heard: Heard[] = [];
      const { socket } = await listen(driver().server.person.token, heard);
      try {
        const turn = await driver().ask('Fail. [fail=500]');
        const failed = (event: Heard) => event.chat_id === turn.chatId && event.data.type === 'chat:message:error';
        await driver().until(() => Promise.resolve(heard.some(failed)));
        expect(heard.find(failed)?.message_id).toBe(turn.replyId);
      } finally {
        socket.disconnect();
      }
    });
  }
}
