import { chatView } from './chatView';
import { seconds, type ChatRecord, type Json } from './documents';
import { bodyOf, NOT_FOUND, refuse, type App, type World } from './world';

const ROOT = '/api/v1/chats/:id';

/** What a person does to a chat in the sidebar: pins it, archives it, puts it into a folder, gives it tags. */
export function sidebarRoutes(app: App, world: World): void {
  const { documents, is } = world;
  const change = (name: string, write: (chat: ChatRecord, body: Json) => unknown) =>
    app.post(`${ROOT}/${name}`, async (c) => {
      const chat = documents.ownChat(c.req.param('id'), c.get('user'));
      if (!chat) return refuse(c, 401, 'Something went wrong :/');
      await write(chat, await bodyOf<Json>(c));
      return c.json(name === 'tags' ? tagsOf(chat) : chatView(chat, is));
    });
  change('pin', (chat) => Object.assign(chat, { pinned: !chat.pinned, updatedAt: seconds() }));
  change('archive', async (chat) => {
    Object.assign(chat, { archived: !chat.archived, updatedAt: seconds() });
    if (is.archiveLeavesFolder) chat.folderId = null;
    if (is.archiveStopsTasks && chat.archived) await world.tasks.list.stopAll(chat.id, is.stopSkips);
  });
  change('folder', (chat, body) => {
    const folderId = (body['folder_id'] as string | null | undefined) ?? null;
    Object.assign(chat, { folderId, pinned: false, updatedAt: seconds() });
    if (is.folderLeavesArchive && folderId !== null) chat.archived = false;
  });
  change('tags', (chat, body) => {
    const tag = String(body['name']).toLowerCase().replaceAll(' ', '_');
    chat.meta = { ...chat.meta, tags: [...new Set([...tagIds(chat), tag])] };
  });
  app.get(`${ROOT}/tags`, (c) => {
    const chat = documents.ownChat(c.req.param('id'), c.get('user'));
    return chat ? c.json(tagsOf(chat)) : refuse(c, 401, NOT_FOUND);
  });
}

export function tagIds(chat: ChatRecord): string[] {
  return (chat.meta['tags'] as string[] | undefined) ?? [];
}

function tagsOf(chat: ChatRecord): Json[] {
  return tagIds(chat).map((id) => ({ id, name: id, user_id: chat.userId, meta: null }));
}
