export interface Stoppable {
  stop(): Promise<void>;
}

/** Jest loads setup and teardown apart from each other, so a module's own variable would not be shared. */
const shared = globalThis as typeof globalThis & { startedServers?: Stoppable[] };

export function keepForTeardown(servers: Stoppable[]): void {
  shared.startedServers = servers;
}

export async function stopAll(): Promise<void> {
  const servers = shared.startedServers ?? [];
  shared.startedServers = [];
  await Promise.all(servers.map((server) => server.stop()));
}
