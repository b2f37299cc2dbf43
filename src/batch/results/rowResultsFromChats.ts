/** What a row's run does not tell is read from its chat: the rest of a long reply, and everything where the run is forgotten. */
import { parseChatInput, type ChatRequest } from '../../chatInput';
import { DEFAULT_CONNECTION, FAILURES, type ChatOutcome, type FailureType } from '../../contract';
import { turnIds, type TurnIds, type TurnKey } from '../../activities/ids';
import { messageOf, sameTurn } from '../../openwebui/chatTree';
import type { Connection } from '../../openwebui/connection';
import { replyState, type ReplyState } from '../../openwebui/replyState';
import { filesOf, usageOf } from '../../openwebui/messageParts';
import { replyText } from '../../openwebui/replyText';
import type { Chat, Message } from '../../openwebui/schemas';
import { replyJson } from '../../replyJson';
import { ChatsByMessage, readableChat } from './chatsByMessage';
import type { RowResult } from './rowResults';

/** A row with all that could be found out. */
export interface WholeRow extends Omit<RowResult, 'outcome'> {
  /** Timings are known of runs only. */
  outcome?: Partial<ChatOutcome> | undefined;
  /** Why the text is not whole, or the row unknown: one sentence. */
  note?: string;
}

export interface ChatReaderOptions {
  /** Opens a connection; it is closed at the end. What it throws stands in the rows that need it. */
  connectionOf?: ((name: string) => Connection) | undefined;
  /** The Temporal namespace's id. */
  namespaceId: () => Promise<string>;
  /** Only rows whose runs are forgotten are looked for; texts that are cut stay cut. @default false */
  forgottenOnly?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

interface OpenConnection {
  connection: Connection;
  chats: ChatsByMessage;
}

/** The key of the only turn of a run. */
const TURN_KEY = '1';
const NOTHING_TO_ASK = 'no connection to Open WebUI is set up here';

/** What a message that has no reply says about it, as a failure of the contract. */
const FAILURES_OF_STATES: Partial<Record<ReplyState['kind'], { type: FailureType; message: string }>> = {
  stopped: { type: FAILURES.ReplyStopped, message: 'Somebody stopped the reply' },
  gone: { type: FAILURES.ChatGone, message: 'The message that held the reply is not in the chat' },
  lost: { type: FAILURES.ReplyLost, message: 'The chat holds no finished reply' },
  untriggered: { type: FAILURES.ReplyLost, message: 'The model was never asked' },
  running: { type: FAILURES.ReplyLost, message: 'The reply waits for a person to allow a tool call' },
};

export class ChatReader {
  private readonly connections = new Map<string, OpenConnection | Error>();
  private namespaceId: Promise<string> | undefined;

  constructor(private readonly options: ChatReaderOptions) {}

  /** @throws OpenWebUIError where the server fails; a chat that cannot be read is told in the row */
  async whole(row: RowResult): Promise<WholeRow> {
    if (row.status === 'unknown') return this.found(row);
    const { outcome } = row;
    if (outcome === undefined) return row;
    if (this.options.forgottenOnly === true) return row;
    return outcome.truncated ? this.lengthened(row, outcome) : { ...row, outcome: withJson(row, outcome) };
  }

  async close(): Promise<void> {
    const opened = [...this.connections.values()].flatMap((open) => (open instanceof Error ? [] : [open.connection]));
    await Promise.all(opened.map((connection) => connection.close()));
  }

  private async lengthened(row: RowResult, outcome: ChatOutcome): Promise<WholeRow> {
    const open = this.open(outcome.connection);
    if (open instanceof Error) return { ...row, note: `The text is cut: ${open.message}` };
    const chat = await readableChat(open.connection, outcome.chatId, this.options.signal);
    const message = chat && messageOf(chat.chat.history ?? { messages: {} }, outcome.messageId);
    if (message === undefined) return { ...row, note: 'The text is cut: its chat cannot be read any more' };
    const { content } = replyText(message);
    const whole = withJson(row, { ...outcome, content, truncated: false, characters: content.length });
    const isSame = content.length === outcome.characters && content.startsWith(outcome.content);
    return { ...row, outcome: whole, ...(isSame ? {} : { note: 'The reply was changed in its chat after the run' }) };
  }

  private async found(row: RowResult): Promise<WholeRow> {
    const open = this.open(row.input.connection ?? DEFAULT_CONNECTION);
    if (open instanceof Error) return forgotten(row, open.message);
    const request = requestOf(row);
    if (request === undefined) return forgotten(row, 'its line is no conversation');
    const key = await this.keyOf(row);
    const chat = await this.chatOf(open, request, key);
    if (chat === undefined) return forgotten(row, `no chat of connection ${open.connection.name} holds its question`);
    return this.read(row, open.connection, chat, key);
  }

  private async keyOf({ workflowId }: RowResult): Promise<TurnKey> {
    this.namespaceId ??= this.options.namespaceId();
    return { namespaceId: await this.namespaceId, workflowId, turnKey: TURN_KEY };
  }

  private async chatOf(
    { connection, chats }: OpenConnection,
    { chat: known, prompt, folderId }: ChatRequest,
    key: TurnKey,
  ): Promise<Chat | undefined> {
    const { userMessageId: userId, messageId: assistantId } = turnIds(key, 1);
    const chatId = known?.id ?? (await chats.find(userId, folderId));
    const chat = chatId === undefined ? undefined : await readableChat(connection, chatId, this.options.signal);
    const history = chat?.chat.history ?? { messages: {} };
    return sameTurn(history, { userId, assistantId, content: prompt }) ? chat : undefined;
  }

  private async read(row: RowResult, connection: Connection, chat: Chat, key: TurnKey): Promise<WholeRow> {
    const { ids, message, generations } = latestOf(chat, key);
    const state = replyState({ taskIds: [], message }, await connection.capabilities(this.options.signal));
    const place = { chatId: chat.id, messageId: ids.messageId, url: connection.chatUrl(chat.id) };
    const failure = failureOf(state, message);
    if (message === undefined || failure !== undefined) {
      const { type, message: reason } = failure ?? { type: FAILURES.ChatGone, message: 'The chat holds no reply' };
      return { ...row, status: 'failed', failure: { type, message: reason, details: place } };
    }
    const { content, reasoning } = replyText(message);
    const usage = usageOf(message);
    const outcome: Partial<ChatOutcome> = {
      connection: connection.name,
      ...{ ...place, userMessageId: ids.userMessageId, title: chat.title ?? '' },
      ...(typeof message.model === 'string' ? { model: message.model } : {}),
      ...{ content, truncated: false, characters: content.length, generations },
      ...(reasoning === undefined ? {} : { reasoning }),
      ...(usage === undefined ? {} : { usage }),
    };
    return asWanted({ ...row, status: 'completed', outcome: withJson(row, outcome) }, place);
  }

  private open(name: string): OpenConnection | Error {
    const known = this.connections.get(name);
    if (known !== undefined) return known;
    const opened = this.tryToOpen(name);
    this.connections.set(name, opened);
    return opened;
  }

  private tryToOpen(name: string): OpenConnection | Error {
    const { connectionOf, signal } = this.options;
    if (connectionOf === undefined) return new Error(NOTHING_TO_ASK);
    try {
      const connection = connectionOf(name);
      return { connection, chats: new ChatsByMessage(connection, signal) };
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }
}

function forgotten(row: RowResult, why: string): WholeRow {
  return { ...row, note: `Its run is past Temporal's retention, and ${why}` };
}

/** The generation that was asked for last. */
function latestOf({ chat }: Chat, key: TurnKey): { ids: TurnIds; message: Message | undefined; generations: number } {
  const history = chat.history ?? { messages: {} };
  let generations = 1;
  while (messageOf(history, turnIds(key, generations + 1).messageId) !== undefined) generations++;
  const ids = turnIds(key, generations);
  return { ids, message: messageOf(history, ids.messageId), generations };
}

function failureOf(
  state: ReplyState,
  message: Message | undefined,
): { type: FailureType; message: string } | undefined {
  if (state.kind === 'failed') return { type: FAILURES.ReplyFailed, message: state.error };
  const isEmpty = message !== undefined && replyText(message).content === '' && filesOf(message).length === 0;
  if (state.kind === 'finished' && isEmpty) {
    return { type: FAILURES.ReplyEmpty, message: 'The reply is empty' };
  }
  return FAILURES_OF_STATES[state.kind];
}

/** An outcome that was cut to fit has lost its JSON. */
function withJson<T extends Partial<ChatOutcome>>({ input }: RowResult, outcome: T): T {
  if (input.replyFormat !== 'json' || outcome.json !== undefined) return outcome;
  const found = replyJson(outcome.content ?? '');
  return found.ok ? { ...outcome, json: found.json } : outcome;
}

function asWanted(row: WholeRow, details: { chatId: string; messageId: string; url: string }): WholeRow {
  const { outcome, ...rest } = row;
  if (row.input.replyFormat !== 'json' || outcome?.json !== undefined) return row;
  return {
    ...rest,
    status: 'failed',
    failure: { type: FAILURES.ReplyNotJson, message: 'The reply is not JSON', details },
  };
}

function requestOf({ input }: RowResult): ChatRequest | undefined {
  try {
    return parseChatInput(input, { maxPromptBytes: Infinity });
  } catch {
    return undefined;
  }
}
