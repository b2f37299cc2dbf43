import { setTimeout as sleep } from 'node:timers/promises';
import { io } from 'socket.io-client';
import { FormData, request } from 'undici';
import { DEFAULT_REPLY, type ModelRequest } from '../../dev/model';
import type { StandIn } from '../../dev/standIn';
import { Comparison } from './comparison';
import type { Exchange, RecordedEvent, Recording } from './recording';

interface Reply {
  status: number;
  contentType: string;
  body: unknown;
}

const UPLOAD = '<multipart file>';
/** Chunks that the model had sent when the recorder read a running chat or stopped it. */
const CHUNKS_WHEN_READ = 3;
const FILE = 'Paris is the capital of France. Its mayor sits in the Hotel de Ville.';

/** Sends a stand-in the requests of one recording, in order and at the same moments of the generation. */
export class Replay {
  readonly #comparison = new Comparison();
  readonly #heard: RecordedEvent[] = [];
  #chat = '';
  #isRunning = false;
  #key = '';
  #leave: () => void = () => undefined;

  constructor(
    private readonly standIn: StandIn,
    private readonly recording: Recording,
  ) {}

  /** The differences between what was recorded and what came. */
  async run(): Promise<string[]> {
    const found: string[] = [];
    try {
      for (const exchange of this.recording.exchanges) {
        const differences = await this.#play(exchange);
        found.push(...differences.map((text) => `${exchange.name} ${text}`));
      }
    } finally {
      this.#leave();
    }
    return found;
  }

  async #play(exchange: Exchange): Promise<string[]> {
    await this.#reachMoment(exchange);
    if (exchange.name === 'user-join acknowledgement') {
      return this.#comparison.differences(exchange.response, await this.#joinSocket());
    }
    if (exchange.events) return this.#compareEvents(exchange.events);
    if (exchange.name.startsWith('server killed')) {
      await this.standIn.kill();
      await this.standIn.restart();
      return [];
    }
    const { method = 'GET', path = '/api/v1/chats/list' } = exchange;
    const reply = await this.#send(exchange, method, this.#comparison.translate(path));
    const differences = this.#compare(exchange, reply);
    if (exchange.name === 'create') this.#chat = (reply.body as { id: string }).id;
    if (exchange.name === 'make key') this.#key = (reply.body as { api_key: string }).api_key;
    if (exchange.name === 'trigger') this.#isRunning = reply.status === 200;
    return differences;
  }

  #compare(exchange: Exchange, reply: Reply): string[] {
    const expected = { status: exchange.status, contentType: exchange.contentType ?? reply.contentType };
    const actual = { status: reply.status, contentType: reply.contentType };
    const outside = this.#comparison.differences(expected, actual);
    if (exchange.response === undefined || exchange.response === null) return outside;
    // The recorder kept only the row of its own chat.
    const rows = reply.body as { id: string }[];
    const body = exchange.name.endsWith('list row') ? rows.filter((row) => row.id === this.#chat) : reply.body;
    return [...outside, ...this.#comparison.differences(exchange.response, body)];
  }

  async #reachMoment(exchange: Exchange): Promise<void> {
    if (!this.#isRunning) return;
    if (exchange.name.startsWith('running') || exchange.name === 'stop') return this.#untilModelHolds();
    this.#isRunning = false;
    this.standIn.ownModel?.release();
    if (exchange.method === 'DELETE' || exchange.name.startsWith('server killed')) return;
    await this.#until(async () => {
      const { body } = await this.#call('GET', `/api/tasks/chat/${this.#chat}`);
      return (body as { task_ids: string[] }).task_ids.length === 0;
    });
  }

  async #untilModelHolds(): Promise<void> {
    const chunks = () => {
      const { prompt = '', charactersSent = 0 } = this.standIn.ownModel?.log.findLast(isGeneration) ?? {};
      const parts = Number(/\[chunks=(\d+)\]/.exec(prompt)?.[1] ?? 8);
      return charactersSent / Math.ceil(DEFAULT_REPLY.length / parts);
    };
    await this.#until(() => Promise.resolve(chunks() >= CHUNKS_WHEN_READ));
    await sleep(50);
  }

  async #until(holds: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (!(await holds())) {
      if (Date.now() > deadline) throw new Error('the moment of the recording did not come within ten seconds');
      await sleep(10);
    }
  }

  async #send(exchange: Exchange, method: string, path: string): Promise<Reply> {
    if (path.endsWith('/process/status') && exchange.name === 'file status' && exchange.contentType?.includes('json')) {
      await this.#until(async () => {
        const { body } = await this.#call(method, path);
        return (body as { status: string }).status === 'completed';
      });
    }
    return this.#call(method, path, this.#comparison.translate(exchange.request), this.#tokenFor(exchange.name));
  }

  /** The recordings leave tokens out; the name of the exchange says which it was. */
  #tokenFor(name: string): string {
    if (name.endsWith('no token')) return '';
    if (name.endsWith('wrong token')) return 'not.a.token';
    if (name.endsWith('wrong api key')) return 'sk-00000000000000000000000000000000';
    if (name === 'list with key') return this.#key;
    return this.standIn.admin.token;
  }

  async #call(method: string, path: string, body?: unknown, token = this.standIn.admin.token): Promise<Reply> {
    const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
    if (body !== undefined && body !== UPLOAD) headers['content-type'] = 'application/json';
    const response = await request(`${this.standIn.url}${path}`, {
      method,
      headers,
      body: payloadOf(body),
      // No connection is kept: the server may be killed before the next request.
      reset: true,
    });
    const text = await response.body.text();
    const contentType = String(response.headers['content-type']).split(';')[0] ?? '';
    return { status: response.statusCode, contentType, body: contentType.includes('json') ? JSON.parse(text) : text };
  }

  async #joinSocket(): Promise<unknown> {
    const socket = io(this.standIn.url, { path: '/ws/socket.io', transports: ['websocket'] });
    this.#leave = () => socket.disconnect();
    for (const event of ['events', 'chat-events']) {
      socket.on(event, (data: Omit<RecordedEvent, 'event'>) => this.#heard.push({ event, ...data }));
    }
    return socket.emitWithAck('user-join', { auth: { token: this.standIn.admin.token } });
  }

  /** The recorder's socket also heard of chats that earlier recordings had left running. */
  #compareEvents(recorded: RecordedEvent[]): string[] {
    const chats = this.recording.exchanges
      .filter(({ name }) => name === 'create')
      .map(({ response }) => (response as { id: string }).id);
    const ours = recorded.filter((event) => chats.includes(event.chat_id));
    return this.#comparison.differences(ours.map(withoutOutlet), this.#heard.map(withoutOutlet));
  }
}

function isGeneration(one: ModelRequest): boolean {
  return one.kind === 'generation';
}

function payloadOf(body: unknown): string | FormData | null {
  if (body === undefined) return null;
  if (body !== UPLOAD) return JSON.stringify(body);
  const form = new FormData();
  form.set('file', new File([FILE], 'paris.txt', { type: 'text/plain' }));
  return form;
}

/** What a filter is shown is not read by anybody. */
function withoutOutlet(event: RecordedEvent): RecordedEvent {
  return event.data.type === 'chat:outlet' ? { ...event, data: { type: 'chat:outlet' } } : event;
}
