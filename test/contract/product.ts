import { randomUUID } from 'node:crypto';
import { appendRegeneration, closeMessage } from '../../src/openwebui/chatTree';
import { OpenWebUIClient } from '../../src/openwebui/client';
import { fixedToken } from '../../src/openwebui/credentials';
import { Http } from '../../src/openwebui/http';
import { ServerClock } from '../../src/openwebui/serverClock';
import { replyState, type ReplyState } from '../../src/openwebui/replyState';
import { historySchema, messageSchema, type History } from '../../src/openwebui/schemas';
import { seconds, type Driver, type Turn } from './driver';

/** The product's own client, for what it makes of an answer. The person's, unless a token is given. */
export async function withClient<T>(
  { server }: Driver,
  use: (client: OpenWebUIClient, clock: ServerClock) => Promise<T>,
  token = server.person.token,
): Promise<T> {
  const http = new Http({ connection: 'contract', url: server.url, credentials: fixedToken(token) });
  try {
    const clock = new ServerClock();
    return await use(new OpenWebUIClient(http, clock), clock);
  } finally {
    await http.close();
  }
}

/** What the product takes a reply for. @param taskId what the trigger returned */
export async function stateOf(driver: Driver, turn: Turn, taskId?: string): Promise<ReplyState> {
  const taskIds = await driver.tasks(turn);
  const message = messageSchema.parse(await driver.reply(turn));
  return replyState({ taskIds, message }, driver.can, taskId === undefined ? {} : { taskId });
}

/** Puts a message away that nobody will finish, as the product does it. */
export async function putAway(driver: Driver, turn: Turn, reason: string): Promise<void> {
  const isOpen = (await driver.reply(turn)).done !== true;
  if (driver.can.historyWrite === 'guarded' && isOpen) {
    await driver.call('POST', `/api/tasks/chat/${turn.chatId}/stop`);
  }
  const closed = closeMessage(await historyOf(driver, turn), turn.replyId, reason);
  await driver.call('POST', `/api/v1/chats/${turn.chatId}`, { chat: { history: closed } });
}

/** Asks for a second generation beside a dead one, as the product does it. */
export async function askAnew(driver: Driver, dead: Turn): Promise<Turn> {
  const turn = { ...dead, replyId: randomUUID(), isStored: true };
  if (driver.can.turnProtocol === 'turn') {
    await driver.trigger(turn, { messages: undefined });
    return turn;
  }
  const place = { userId: turn.userId, assistantId: turn.replyId, model: 'model-a', timestamp: seconds() };
  const history = appendRegeneration(await historyOf(driver, turn), place);
  await driver.call('POST', `/api/v1/chats/${turn.chatId}`, { chat: { history } });
  await driver.trigger(turn);
  return turn;
}

async function historyOf(driver: Driver, turn: Turn): Promise<History> {
  return historySchema.parse((await driver.chat(turn)).chat.history);
}
