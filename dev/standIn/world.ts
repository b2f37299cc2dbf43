import type { Context, Hono } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Behaviour } from './behaviour';
import type { Documents, User } from './documents';
import type { Partials } from './partial';
import type { Sockets } from './sockets';
import type { Tasks } from './taskList';

/** What all the parts of one stand-in share. `tasks`, `partials` and `sockets` are the process: they do not survive a kill. */
export interface World {
  release: string;
  is: Behaviour;
  documents: Documents;
  /** Whether processes share their lists of tasks, and whether what they share is there. */
  redis: 'none' | 'up' | 'away';
  tasks: Tasks;
  partials: Partials;
  sockets: Pick<Sockets, 'emit'>;
  /** The OpenAI-compatible model behind the server. */
  model: { url: string; key: string };
  /** The ids it offered when it was last asked. */
  models: string[] | undefined;
  /** What an installed outlet filter does with a reply; none by default. */
  outlet: ((text: string) => string) | undefined;
  /** How long the outlet filter and the tasks after the reply take at least, in ms. */
  outletTime: number;
  /** With which words the next replies fail before the model is asked. */
  troubles: string[];
  /** Of which chats the event sockets hear nothing. */
  isDeafTo: (chatId: string) => boolean;
  /** After so much silence from the model the reply is given up, in ms. */
  upstreamTimeout: number;
}

export interface Environment {
  Variables: { user: User };
}
export type App = Hono<Environment>;
export type Call = Context<Environment>;

export const NOT_FOUND = "We could not find what you're looking for :/";
export const PROHIBITED =
  'You do not have permission to access this resource. Please contact your administrator for assistance.';

export function refuse(c: Call, status: number, detail: unknown): Response {
  return c.json({ detail }, status as ContentfulStatusCode);
}

/** What an unhandled exception in the server looks like from outside. */
export function crash(c: Call): Response {
  return c.text('Internal Server Error', 500);
}

export function fieldMissing(c: Call, field: string, input: unknown): Response {
  return refuse(c, 422, [{ type: 'missing', loc: ['body', field], msg: 'Field required', input }]);
}

export async function bodyOf<T extends object>(c: Call): Promise<Partial<T>> {
  const text = await c.req.text();
  return text === '' ? {} : (JSON.parse(text) as Partial<T>);
}
