import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { authentication, authRoutes } from './auth';
import { chatListRoutes, chatRoutes } from './chats';
import { completionRoutes } from './completions';
import { folderRoutes } from './folders';
import { fileRoutes, knowledgeRoutes } from './knowledge';
import { redisRoutes } from './redis';
import { fallback, serverRoutes } from './serverRoutes';
import { sidebarRoutes } from './sidebar';
import { taskRoutes } from './taskRoutes';
import type { App, Environment, World } from './world';

export type Listener = ReturnType<typeof getRequestListener>;

/** The HTTP end of one process. */
export function listenerOf(world: World): Listener {
  const app: App = new Hono<Environment>();
  authentication(app, world);
  const parts = [
    redisRoutes,
    serverRoutes,
    authRoutes,
    chatListRoutes,
    chatRoutes,
    sidebarRoutes,
    folderRoutes,
    completionRoutes,
    taskRoutes,
  ];
  for (const routes of [...parts, fileRoutes, knowledgeRoutes]) routes(app, world);
  fallback(app);
  return getRequestListener(app.fetch);
}
