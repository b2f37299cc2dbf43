import type { Message } from './documents';
import { writeMessage } from './history';
import { bodyOf, crash, NOT_FOUND, refuse, type App, type Call, type World } from './world';

/** The lists of running tasks and the two ways to stop them. */
export function taskRoutes(app: App, world: World): void {
  const { documents, is } = world;

  app.get('/api/tasks', (c) => {
    if (is.taskStopForAdmins && c.get('user').role !== 'admin') return refuseUser(c);
    return c.json({ tasks: world.tasks.list.all() });
  });

  // A chat that is missing or somebody else's looks like one without tasks.
  app.get('/api/tasks/chat/:id', (c) => {
    const own = documents.ownChat(c.req.param('id'), c.get('user'));
    return c.json({ task_ids: own ? world.tasks.list.of(own.id) : [] });
  });

  app.post('/api/tasks/stop/:task', async (c) => {
    if (is.taskStopForAdmins && c.get('user').role !== 'admin') return refuseUser(c);
    const task = c.req.param('task');
    const isKnown = await world.tasks.list.stop(task);
    // With Redis the command is passed on to all processes, and nobody tells whether one of them knew the task.
    if (world.redis === 'up') return c.json({ status: true, message: `Task ${task} stopped.` });
    if (isKnown) return c.json(stopAnswer(world, task));
    if (is.unknownTaskFails) return crash(c);
    const message = `Task with ID ${task} not found.`;
    return is.unknownTaskIsFalse ? c.json({ status: false, message }) : refuse(c, 404, message);
  });

  if (is.chatStop) app.post('/api/tasks/chat/:id/stop', (c) => stopChat(c, world));

  if (is.activeChats) {
    app.post('/api/v1/tasks/active/chats', async (c) => {
      const { chat_ids: ids = [] } = await bodyOf<{ chat_ids: string[] }>(c);
      return c.json({ active_chat_ids: ids.filter((id) => world.tasks.list.of(id).length > 0) });
    });
  }
}

async function stopChat(c: Call, world: World): Promise<Response> {
  const { is } = world;
  const id = c.req.param('id') ?? '';
  const chat = world.documents.ownChat(id, c.get('user'));
  if (!chat) return refuse(c, 404, NOT_FOUND);
  const tasks = world.tasks.list.of(id);
  await world.tasks.list.stopAll(id, is.stopSkips);
  const [last] = tasks.slice(-1);
  if (last) {
    const message = is.stopNamesTask ? `Task ${last} successfully stopped.` : `All tasks for item ${id} stopped.`;
    return c.json({ status: true, message });
  }
  const orphans = Object.entries(chat.chat.history?.messages ?? {}).filter(([, message]) => isUnfinished(message));
  if (!is.stopFinalises || orphans.length === 0) {
    const message = is.stopNamesTask ? 'No tasks found.' : `No tasks found for item ${id}.`;
    return c.json({ status: true, message });
  }
  const { updatedAt } = chat;
  for (const [messageId] of orphans) writeMessage(chat, messageId, { done: true }, is);
  chat.updatedAt = updatedAt;
  return c.json({ status: true, message: 'Finalized pending approval message.' });
}

/** Up to 0.6.32 a stop that worked says that it failed. */
function stopAnswer(world: World, task: string) {
  if (!world.is.stopTellsTruth) return { status: false, message: `Failed to stop task ${task}.` };
  const verb = world.is.stopNamesTask ? 'stopped' : 'cancelled';
  return { status: true, message: `Task ${task} successfully ${verb}.` };
}

function isUnfinished(message: Message): boolean {
  return message.role === 'assistant' && message.done === false;
}

function refuseUser(c: Call): Response {
  return refuse(
    c,
    401,
    'You do not have permission to access this resource. Please contact your administrator for assistance.',
  );
}
