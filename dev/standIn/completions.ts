import { Readable } from 'node:stream';
import { insertChat } from './chats';
import { entriesOf, parametersOf, type CompletionBody, type Entry } from './completionBody';
import type { Json, User } from './documents';
import { Generation } from './generation';
import { retrieve } from './retrieval';
import { postToModel, type Answer } from './upstream';
import { contextOf, ConflictError, prepareTurn } from './turn';
import { bodyOf, NOT_FOUND, refuse, type App, type Call, type World } from './world';

/** `POST /api/chat/completions` and `/api/chat/completed`. */
export function completionRoutes(app: App, world: World): void {
  app.post('/api/chat/completions', (c) => complete(c, world));
  app.post('/api/chat/completed', async (c) => {
    const body = await bodyOf<CompletionBody>(c);
    if (!body.id) return refuse(c, 400, world.is.writesTurn ? 'Missing message id' : "'id'");
    for (const field of ['chat_id', 'session_id']) if (!(field in body)) return refuse(c, 400, `'${field}'`);
    const { outlet } = world;
    if (!outlet || !body.messages) return c.json(body);
    const messages = body.messages.map((message, i, all) =>
      i === all.length - 1 ? { ...message, content: outlet(String(message.content)) } : message,
    );
    return c.json({ ...body, messages });
  });
}

async function complete(c: Call, world: World): Promise<Response> {
  const { is } = world;
  const body = await bodyOf<CompletionBody>(c);
  const user = c.get('user');
  const models = await modelIds(world);
  if (!models.includes(body.model ?? '')) return refuse(c, 400, 'Model not found');
  const refusal = refuseEarly(c, world, body);
  if (refusal) return refusal;

  const chatId = body.chat_id ?? (isOneCallCreate(world, body) ? createChat(world, user, body) : undefined);
  const entries = entriesOf(body);
  if (chatId === undefined || entries.length === 0) return withoutChat(c, world, body, chatId);
  if (!body.session_id && !is.writesTurn) return passThrough(world, body);
  const stranger = refuseStranger(c, world, user, chatId);
  if (stranger) return stranger;
  try {
    prepareTurn(world, user, chatId, body, entries);
  } catch (error) {
    if (error instanceof ConflictError) return refuse(c, 409, error.message);
    throw error;
  }
  const generations = entries.map((entry) => generationOf(world, user, chatId, body, entry));
  return is.answersAtOnce ? enqueue(c, world, body, generations) : startHolding(c, world, body, generations);
}

/** From 0.6.23: the answer comes before the model was asked. */
async function enqueue(c: Call, world: World, body: Partial<CompletionBody>, generations: Generation[]) {
  const { is } = world;
  const tasks = generations.map((generation) => {
    const task = world.tasks.start(generation.request.chatId, (started) => generation.run(started));
    generation.write({
      model: generation.request.model,
      ...(is.taskIdOnMessage && { meta: { task_id: task.id } }),
    });
    return task;
  });
  if (!body.session_id) {
    await Promise.all(tasks.map((task) => task.ended));
    return c.json(body.stream ? null : completionOf(generations[0]));
  }
  const ids = tasks.map((task) => task.id);
  if (!is.writesTurn) return c.json({ status: true, task_id: ids[0] });
  return c.json({ status: true, task_ids: ids, chat_id: generations[0]?.request.chatId });
}

const CAUSE_LOST = "argument of type 'JSONResponse' is not iterable";

/** Up to 0.6.22: the request is held until the model has begun, and the model's refusal is its answer. */
async function startHolding(c: Call, world: World, body: Partial<CompletionBody>, generations: Generation[]) {
  const [generation] = generations;
  if (!generation) return refuse(c, 400, "'id'");
  const trouble = world.troubles.shift();
  if (trouble !== undefined) {
    generation.fail(trouble);
    return refuse(c, 400, trouble);
  }
  const asking = new AbortController();
  const abandon = () => asking.abort();
  const { killed } = world.tasks;
  killed.addEventListener('abort', abandon);
  let answer: Answer;
  try {
    answer = await generation.ask(asking.signal);
  } catch (error) {
    if (killed.aborted) return c.body(null);
    throw error;
  } finally {
    killed.removeEventListener('abort', abandon);
  }
  if ('refusal' in answer && !(world.is.errorWithoutJsonLost && !answer.refusal.error)) {
    const { status, error, text } = answer.refusal;
    const told = world.is.causeLost ? CAUSE_LOST : `${status}: ${error?.message ?? text}`;
    generation.fail(told);
    return refuse(c, 400, told);
  }
  generation.write({ model: generation.request.model });
  const task = world.tasks.start(generation.request.chatId, (started) => {
    started.signal.addEventListener('abort', abandon, { once: true });
    return generation.run(started, answer);
  });
  if (body.stream) return c.json({ status: true, task_id: task.id });
  await task.ended;
  return c.json(completionOf(generation));
}

function generationOf(
  world: World,
  user: User,
  chatId: string,
  body: Partial<CompletionBody>,
  entry: Entry,
): Generation {
  const messages = contextOf(world, chatId, body, entry.messageId);
  return new Generation(world, {
    userId: user.id,
    chatId,
    messageId: entry.messageId,
    userMessageId: body.user_message?.id ?? body.parent_message?.id,
    model: entry.model,
    messages,
    parameters: parametersOf(world, body),
    backgroundTasks: body.background_tasks ?? {},
    retrieve: (signal) => retrieve(world, entry.model, messages, body.files ?? [], signal),
  });
}

function refuseEarly(c: Call, world: World, body: Partial<CompletionBody>): Response | undefined {
  const { is } = world;
  if (is.parentMessageCompulsory && body.chat_id && !body.parent_message) {
    return refuse(c, 400, "'NoneType' object has no attribute 'get'");
  }
  if (is.withoutChatFails && !body.chat_id) {
    return refuse(c, 400, "'NoneType' object has no attribute 'startswith'");
  }
  if (is.writesTurn && !is.messageIdsList && Array.isArray(body.message_ids)) {
    return refuse(c, 400, "'list' object has no attribute 'values'");
  }
  return undefined;
}

/** Whose chat it is was not asked at all up to 0.6.18, and not of admins up to 0.11.4. */
function refuseStranger(c: Call, world: World, user: User, chatId: string): Response | undefined {
  const { is, documents } = world;
  if (documents.ownChat(chatId, user) || !is.ownerChecked) return undefined;
  if (user.role === 'admin' && !is.adminChecked) return undefined;
  return is.foreignIs404 ? refuse(c, 404, NOT_FOUND) : refuse(c, 400, '404: Something went wrong :/');
}

function isOneCallCreate(world: World, body: Partial<CompletionBody>): boolean {
  return world.is.writesTurn && body.parent_id === null && body.user_message !== undefined;
}

function createChat(world: World, user: User, body: Partial<CompletionBody>): string {
  const content = { title: 'New Chat', models: [body.model], history: { currentId: null, messages: {} } };
  return insertChat(world, user, { chat: content }).id;
}

async function withoutChat(c: Call, world: World, body: Partial<CompletionBody>, chatId: string | undefined) {
  if (chatId === undefined || !world.is.writesTurn) return passThrough(world, body);
  if (world.is.withoutIdDoesNothing) return c.json({ status: true, task_ids: [], chat_id: chatId });
  return refuse(c, 409, 'Message already exists or has an invalid ID.');
}

/** A completion that no chat knows of: the model's own answer. */
async function passThrough(world: World, body: Partial<CompletionBody>): Promise<Response> {
  const { model, messages = [], stream } = body;
  const upstream = await postToModel(world, { model, messages, stream }, world.tasks.killed);
  const answer = Readable.toWeb(upstream.body);
  return new Response(answer, {
    status: upstream.statusCode,
    headers: { 'content-type': String(upstream.headers['content-type']) },
  });
}

function completionOf(generation: Generation | undefined): Json {
  const message = { role: 'assistant', content: generation?.reply.text ?? '' };
  const choices = [{ index: 0, message, finish_reason: 'stop' }];
  return { id: 'chatcmpl-1', object: 'chat.completion', model: generation?.request.model, choices };
}

/** The ids of the models; asked of the model server once, and again where `fresh`. */
export async function modelIds(world: World, fresh = false): Promise<string[]> {
  if (world.models && !fresh) return world.models;
  const response = await fetch(`${world.model.url}/models`, {
    headers: { authorization: `Bearer ${world.model.key}` },
    signal: world.tasks.killed,
  });
  const { data } = (await response.json()) as { data: { id: string }[] };
  world.models = data.map((model) => model.id);
  return world.models;
}
