import { randomUUID } from 'node:crypto';
import { chatView, rowView } from './chatView';
import { seconds, type ChatContent, type ChatRecord, type Json, type Message, type User } from './documents';
import { writeHistory, writeMessage } from './history';
import { partialOf } from './partial';
import { tagIds } from './sidebar';
import { bodyOf, crash, fieldMissing, NOT_FOUND, PROHIBITED, refuse, type App, type Call, type World } from './world';

interface ChatForm {
  chat: ChatContent;
  folder_id: string | null;
  meta: Json;
  pinned: boolean;
}

const ROOT = '/api/v1/chats';
const PAGE = 60;

/** One chat: create, import, read, write, delete. */
export function chatRoutes(app: App, world: World): void {
  const { documents, is } = world;

  app.post(`${ROOT}/new`, async (c) => {
    const form = await bodyOf<ChatForm>(c);
    if (!form.chat) return fieldMissing(c, 'chat', form);
    return c.json(chatView(insertChat(world, c.get('user'), form), is));
  });

  app.post(`${ROOT}/import`, async (c) => {
    const form = await bodyOf<ChatForm & { chats: Partial<ChatForm>[] }>(c);
    if (is.importsMany) {
      if (!form.chats) return fieldMissing(c, 'chats', form);
      return c.json(form.chats.map((one) => chatView(insertChat(world, c.get('user'), one), is)));
    }
    if (!form.chat) return fieldMissing(c, 'chat', form);
    return c.json(chatView(insertChat(world, c.get('user'), form), is));
  });

  app.get(`${ROOT}/:id`, (c, next) => {
    const id = c.req.param('id');
    if (!isChatId(id)) return next();
    const own = documents.ownChat(id, c.get('user'));
    const others = is.adminsRead && c.get('user').role === 'admin' ? documents.chats.get(id) : undefined;
    const chat = own ?? others;
    if (!chat) return Promise.resolve(refuse(c, 401, NOT_FOUND));
    const view = chatView(chat, is);
    const content = view['chat'] as ChatContent;
    if (is.shareModeRead) content['share_mode'] = own ? 'continue' : null;
    for (const [messageId, partial] of partialOf(world, id)) {
      Object.assign(content.history?.messages?.[messageId] ?? {}, partial);
    }
    return Promise.resolve(c.json(view));
  });

  app.post(`${ROOT}/:id`, async (c, next) => {
    const id = c.req.param('id');
    if (!isChatId(id)) return next();
    const chat = documents.ownChat(id, c.get('user'));
    if (!chat) return refuse(c, 401, PROHIBITED);
    const { chat: sent } = await bodyOf<ChatForm>(c);
    if (!sent) return fieldMissing(c, 'chat', {});
    updateChat(world, chat, c.get('user'), sent);
    return c.json(chatView(chat, is));
  });

  app.post(`${ROOT}/:id/messages/:messageId`, async (c) => {
    const chat = documents.ownChat(c.req.param('id'), c.get('user'));
    if (!chat) return refuse(c, 401, PROHIBITED);
    if (is.messageWriteFails) return crash(c);
    const { content } = await bodyOf<{ content: string }>(c);
    writeMessage(chat, c.req.param('messageId'), { content: content ?? '' }, is);
    return c.json(chatView(chat, is));
  });

  app.delete(`${ROOT}/:id`, async (c) => {
    const id = c.req.param('id');
    const chat = documents.chats.get(id);
    const isAdmin = c.get('user').role === 'admin';
    if (!isAdmin && !documents.permissions.chat.delete) return refuse(c, 401, PROHIBITED);
    const mine = chat?.userId === c.get('user').id || isAdmin;
    if (!is.missingIs404) {
      if (!chat) return crash(c);
      if (mine) documents.chats.delete(id);
      return c.json(true);
    }
    if (!chat || !mine) return refuse(c, 404, NOT_FOUND);
    if (is.deleteStopsTasks) await world.tasks.list.stopAll(id, is.stopSkips);
    documents.chats.delete(id);
    return c.json(true);
  });
}

/** The lists of chats: newest first, sixty a page. */
export function chatListRoutes(app: App, world: World): void {
  const { documents, is } = world;
  const rows = (c: Call, wanted: (chat: ChatRecord) => boolean, all = false) => {
    const mine = [...documents.chats.values()].filter((chat) => chat.userId === c.get('user').id && wanted(chat));
    mine.sort((a, b) => b.updatedAt - a.updatedAt || a.id.localeCompare(b.id));
    const page = c.req.query('page');
    const from = (Number(page ?? 1) - 1) * PAGE;
    return all && page === undefined ? mine : mine.slice(from, from + PAGE);
  };
  const asRows = (c: Call, chats: ChatRecord[]) =>
    c.json(chats.map((chat) => rowView(chat, is, isActive(world, chat))));

  for (const path of ['/', '/list']) {
    app.get(`${ROOT}${path}`, (c) => {
      const wants = (name: string) => c.req.query(name) === 'true';
      const shown = (chat: ChatRecord) =>
        !chat.archived &&
        (!chat.pinned || (is.listIncludesPinned && wants('include_pinned'))) &&
        (chat.folderId === null || (is.listIncludesFolders && wants('include_folders')));
      return asRows(c, rows(c, shown, true));
    });
  }
  app.get(`${ROOT}/pinned`, (c) =>
    asRows(
      c,
      rows(c, (chat) => chat.pinned && !chat.archived, true),
    ),
  );
  app.get(`${ROOT}/archived`, (c) =>
    asRows(
      c,
      rows(c, (chat) => chat.archived),
    ),
  );
  app.get(`${ROOT}/search`, (c) => {
    const text = (c.req.query('text') ?? '').toLowerCase();
    const messages = (chat: ChatRecord): Message[] => Object.values(chat.chat.history?.messages ?? {});
    const texts = (chat: ChatRecord) => [chat.title, ...messages(chat).map((message) => message.content ?? '')];
    return asRows(
      c,
      rows(c, (chat) => texts(chat).some((one) => one.toLowerCase().includes(text))),
    );
  });
  app.post(`${ROOT}/tags`, async (c) => {
    const { name = '' } = await bodyOf<{ name: string }>(c);
    const tag = name.toLowerCase().replaceAll(' ', '_');
    return asRows(
      c,
      rows(c, (chat) => tagIds(chat).includes(tag), true),
    );
  });
  app.get(`${ROOT}/all`, (c) => {
    const chats = rows(c, (chat) => !chat.archived, true).map((chat) => chatView(chat, is));
    if (!is.exportsLines) return c.json(chats);
    const lines = chats.map((chat) => `${JSON.stringify(chat)}\n`).join('');
    return c.body(lines, 200, { 'content-type': 'application/x-ndjson' });
  });
  app.get(`${ROOT}/folder/:folderId`, (c) => {
    const isShown = (chat: ChatRecord) => !chat.pinned && !chat.archived;
    const inFolder = rows(c, (chat) => chat.folderId === c.req.param('folderId') && isShown(chat), true);
    return c.json(inFolder.map((chat) => chatView(chat, is)));
  });
}

export function insertChat(world: World, user: User, form: Partial<ChatForm>, id: string = randomUUID()): ChatRecord {
  const content = form.chat ?? {};
  stampAuthors(world, user, content);
  const chat: ChatRecord = {
    id,
    userId: user.id,
    title: content.title ?? 'New Chat',
    chat: content,
    createdAt: seconds(),
    updatedAt: seconds(),
    archived: false,
    pinned: form.pinned ?? false,
    folderId: world.is.folderOnCreate ? (form.folder_id ?? null) : null,
    meta: form.meta ?? {},
    variables: {},
  };
  world.documents.chats.set(id, chat);
  return chat;
}

function updateChat(world: World, chat: ChatRecord, user: User, sent: ChatContent): void {
  const { history, ...rest } = sent;
  stampAuthors(world, user, sent);
  Object.assign(chat.chat, rest);
  if (history) writeHistory(chat, history, world.is);
  chat.title = chat.chat.title ?? 'New Chat';
  if (!world.is.renameDoesNotTouch || history) chat.updatedAt = seconds();
}

function stampAuthors(world: World, user: User, content: ChatContent): void {
  if (!world.is.authorsStamped) return;
  for (const message of Object.values(content.history?.messages ?? {})) {
    message['user_id'] = user.id;
    if (message.role === 'user') message['user'] = { id: user.id, name: user.name };
  }
}

function isActive(world: World, chat: ChatRecord): boolean {
  const unfinished = (message: Message) => message.role === 'assistant' && message.done === false;
  return world.tasks.list.of(chat.id).length > 0 && Object.values(chat.chat.history?.messages ?? {}).some(unfinished);
}

function isChatId(id: string): boolean {
  return /^[0-9a-f]{8}-/.test(id);
}
