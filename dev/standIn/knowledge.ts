import { createHash, randomUUID } from 'node:crypto';
import type { Behaviour } from './behaviour';
import { seconds, type Json, type Knowledge, type StoredFile, type User } from './documents';
import { bodyOf, NOT_FOUND, refuse, type App, type Call, type World } from './world';

const FILES = '/api/v1/files';
const KNOWLEDGE = '/api/v1/knowledge';
/** A file whose text says so cannot be processed, as if the embedding model had refused it. */
const UNREADABLE = '[unreadable]';
const PROCESSING_TIME = 50;

export function fileRoutes(app: App, world: World): void {
  const { documents, is } = world;
  const own = (c: Call) => {
    const file = documents.files.get(c.req.param('id') ?? '');
    return file?.userId === c.get('user').id ? file : undefined;
  };

  app.post(`${FILES}/`, async (c) => {
    const { file: upload } = await c.req.parseBody();
    if (!(upload instanceof File)) return refuse(c, 422, 'Field required');
    const text = await upload.text();
    const file = newFile(c.get('user'), upload, text);
    if (!is.filesAsync && text.includes(UNREADABLE)) return refuse(c, 400, 'Error processing file');
    documents.files.set(file.id, file);
    const process = () => {
      file.status = text.includes(UNREADABLE) ? 'failed' : 'completed';
      file.collection = `file-${file.id}`;
    };
    if (is.filesAsync) setTimeout(process, PROCESSING_TIME).unref();
    else process();
    return c.json(uploadView(file, is));
  });
  app.get(`${FILES}/:id`, (c) => {
    const file = own(c);
    return file ? c.json(fileView(file, is)) : refuse(c, 404, NOT_FOUND);
  });
  if (is.filesAsync) {
    app.get(`${FILES}/:id/process/status`, (c) => {
      const file = own(c);
      return file ? c.json({ status: file.status }) : refuse(c, 404, NOT_FOUND);
    });
  }
}

export function knowledgeRoutes(app: App, world: World): void {
  const { documents, is } = world;
  const own = (c: Call) => {
    const knowledge = documents.knowledge.get(c.req.param('id') ?? '');
    return knowledge?.userId === c.get('user').id ? knowledge : undefined;
  };

  app.post(`${KNOWLEDGE}/create`, async (c) => {
    const { name = '', description = '' } = await bodyOf<{ name: string; description: string }>(c);
    const times = { createdAt: seconds(), updatedAt: seconds() };
    const knowledge = { id: randomUUID(), userId: c.get('user').id, name, description, fileIds: [], ...times };
    documents.knowledge.set(knowledge.id, knowledge);
    return c.json({ ...knowledgeView(knowledge, is), files: null });
  });

  app.post(`${KNOWLEDGE}/:id/file/add`, async (c) => {
    const knowledge = own(c);
    const { file_id: id = '' } = await bodyOf<{ file_id: string }>(c);
    const file = documents.files.get(id);
    if (!knowledge || !file) return refuse(c, 400, NOT_FOUND);
    if (file.status === 'failed') return refuse(c, 400, 'The content provided is empty.');
    if (knowledge.fileIds.includes(id) && !is.duplicateAllowed) {
      return refuse(c, 400, 'Duplicate content detected. Please provide unique content to proceed.');
    }
    knowledge.fileIds = [...new Set([...knowledge.fileIds, id])];
    file.collection = knowledge.id;
    const files = filesOf(world, knowledge).map((one) => shortFileView(one, is));
    return c.json({ ...knowledgeView(knowledge, is), files, ...(is.filesPaged && { write_access: false }) });
  });

  app.get(`${KNOWLEDGE}/`, (c) => {
    const mine = [...documents.knowledge.values()].filter((one) => one.userId === c.get('user').id);
    const rows = mine.map((one) => rowOf(world, one, c.get('user')));
    return c.json(is.filesPaged ? { items: rows, total: rows.length } : rows);
  });

  app.get(`${KNOWLEDGE}/:id`, (c) => {
    const knowledge = own(c);
    if (!knowledge) return refuse(c, is.missingIs404 ? 404 : 401, NOT_FOUND);
    if (is.filesPaged) return c.json({ ...knowledgeView(knowledge, is), files: null, write_access: true });
    const files = filesOf(world, knowledge).map((file) => shortFileView(file, is));
    return c.json({ ...knowledgeView(knowledge, is), files });
  });

  if (is.filesPaged) {
    app.get(`${KNOWLEDGE}/:id/files`, (c) => {
      const knowledge = own(c);
      if (!knowledge) return refuse(c, 400, NOT_FOUND);
      const items = filesOf(world, knowledge).map((file) => itemView(file, is, c.get('user')));
      return c.json({ items, ...(is.directories && { directories: [], breadcrumbs: [] }), total: items.length });
    });
  }
}

function newFile(user: User, upload: File, text: string): StoredFile {
  const times = { createdAt: seconds(), updatedAt: seconds() };
  const hash = createHash('sha256').update(text).digest('hex');
  const contentType = upload.type.split(';')[0] ?? '';
  return { id: randomUUID(), userId: user.id, name: upload.name, contentType, text, hash, status: 'pending', ...times };
}

function filesOf(world: World, knowledge: Knowledge): StoredFile[] {
  return knowledge.fileIds.map((id) => world.documents.files.get(id)).filter((file) => file !== undefined);
}

function knowledgeView(knowledge: Knowledge, is: Behaviour): Json {
  const { id, userId, name, description, createdAt, updatedAt, fileIds } = knowledge;
  return {
    id,
    user_id: userId,
    name,
    description,
    ...(!is.filesHaveHash && { data: fileIds.length > 0 ? { file_ids: fileIds } : null }),
    meta: null,
    ...(is.accessGrants ? { access_grants: [] } : { access_control: null }),
    created_at: createdAt,
    updated_at: updatedAt,
  };
}

function rowOf(world: World, knowledge: Knowledge, user: User): Json {
  const { is } = world;
  const { id, name, role, email } = user;
  const image = is.filesHaveHash ? {} : { profile_image_url: '/user.png' };
  const row = { ...knowledgeView(knowledge, is), user: { id, name, role, email, ...image } };
  if (!is.filesPaged) return { ...row, files: filesOf(world, knowledge).map((file) => shortFileView(file, is)) };
  return { ...row, ...(is.fileCount && { file_count: knowledge.fileIds.length }), write_access: true };
}

function metaOf(file: StoredFile, is: Behaviour): Json {
  return {
    name: file.name,
    content_type: file.contentType,
    size: Buffer.byteLength(file.text),
    ...(is.fileHashInMeta && { file_hash: file.hash }),
    data: {},
    ...(file.collection && { collection_name: file.collection }),
  };
}

function shortFileView(file: StoredFile, is: Behaviour): Json {
  const times = { created_at: file.createdAt, updated_at: file.updatedAt };
  return { id: file.id, ...(is.filesHaveHash && { hash: file.hash }), meta: metaOf(file, is), ...times };
}

function fileView(file: StoredFile, is: Behaviour): Json {
  const { id, userId, name, status, text } = file;
  const hash = status === 'completed' ? file.hash : null;
  const outcome = status === 'failed' ? { error: 'embedding failed' } : status === 'completed' && { content: text };
  const data = is.filesAsync ? { status, ...outcome } : { content: text };
  const times = { created_at: file.createdAt, updated_at: file.updatedAt };
  return { id, user_id: userId, hash, filename: name, data, meta: metaOf(file, is), ...times };
}

function uploadView(file: StoredFile, is: Behaviour): Json {
  if (!is.filesAsync) return fileView(file, is);
  const where = { status: true, path: `/data/uploads/${file.id}_${file.name}` };
  return { ...fileView(file, is), hash: null, ...where, ...(!is.accessGrants && { access_control: null }) };
}

function itemView(file: StoredFile, is: Behaviour, user: User): Json {
  const { id, name, role, email } = user;
  const item = { ...fileView(file, is), user: { id, name, role, email } };
  if (!is.fileDataHidden) {
    const path = `/data/uploads/${file.id}_${file.name}`;
    return { ...item, path, ...(!is.accessGrants && { access_control: null }) };
  }
  const place = is.fileOriginal ? { directory_id: null, directory_path: '', has_original: true } : {};
  return { ...item, data: null, ...place };
}
