/** A connection to Temporal for as long as a command runs. */
import type { Client } from '@temporalio/client';
import { Orchestrator } from '../client';
import { connectClient } from '../temporal';

/** @throws ConfigError, TemporalUnavailableError */
export async function withClient(use: (client: Client) => Promise<void>): Promise<void> {
  const { client, connection } = await connectClient();
  try {
    await use(client);
  } finally {
    await connection.close();
  }
}

/** @throws ConfigError, TemporalUnavailableError */
export function withOrchestrator(use: (orchestrator: Orchestrator) => Promise<void>): Promise<void> {
  return withClient((client) => use(new Orchestrator(client)));
}
