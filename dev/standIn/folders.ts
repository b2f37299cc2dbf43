import { randomUUID } from 'node:crypto';
import { seconds, type Folder, type Json } from './documents';
import { bodyOf, NOT_FOUND, PROHIBITED, refuse, type App, type Call, type World } from './world';

const ROOT = '/api/v1/folders/';

/** The folders of a user, all at the root. */
export function folderRoutes(app: App, world: World): void {
  const { documents, is } = world;
  const ownFolders = (c: Call): Folder[] =>
    [...documents.folders.values()].filter(({ userId }) => userId === c.get('user').id);
  const isBarred = (c: Call): boolean => c.get('user').role !== 'admin' && !documents.permissions.features.folders;

  app.get(ROOT, (c) => {
    if (is.foldersArePermitted && isBarred(c)) return refuse(c, 403, PROHIBITED);
    return c.json(ownFolders(c).map(viewOf));
  });

  app.post(ROOT, async (c) => {
    if (is.foldersCreatedByPermission && isBarred(c)) return refuse(c, 403, PROHIBITED);
    const { name = '' } = await bodyOf<{ name: string }>(c);
    const isSame = is.folderNameIsPattern ? like(name) : (other: string) => other.toLowerCase() === name.toLowerCase();
    if (ownFolders(c).some((folder) => isSame(folder.name))) return refuse(c, 400, 'Folder already exists');
    const now = seconds();
    const folder = { id: randomUUID(), userId: c.get('user').id, name, createdAt: now, updatedAt: now };
    documents.folders.set(folder.id, folder);
    return c.json(viewOf(folder));
  });

  app.get(`${ROOT}:id`, (c) => {
    const folder = ownFolders(c).find(({ id }) => id === c.req.param('id'));
    return folder ? c.json(viewOf(folder)) : refuse(c, 404, NOT_FOUND);
  });
}

function viewOf({ id, userId, name, createdAt, updatedAt }: Folder): Json {
  return { id, user_id: userId, name, parent_id: null, created_at: createdAt, updated_at: updatedAt };
}

/** A name as a pattern of SQL, in any case of letters. */
function like(pattern: string): (name: string) => boolean {
  const escaped = pattern.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const expression = new RegExp(`^${escaped.replaceAll('%', '.*').replaceAll('_', '.')}$`, 'is');
  return (name) => expression.test(name);
}
