/** Starts runs in namespaces that have just been made. */
import { setTimeout as sleep } from 'node:timers/promises';
import { NamespaceNotFoundError, type Client } from '@temporalio/client';
import { Orchestrator, type ChatRun, type OrchestrateChatInput } from '../../src/client';

const LIMIT_MS = 15_000;
const PAUSE_MS = 100;

/** Under load it takes Temporal a while until all its parts know a new namespace. */
export async function startPatiently(
  client: Client,
  input: OrchestrateChatInput,
  requestKey: string,
): Promise<ChatRun> {
  const deadline = Date.now() + LIMIT_MS;
  for (;;) {
    try {
      return await new Orchestrator(client).startChat(input, { requestKey });
    } catch (error) {
      if (!(error instanceof NamespaceNotFoundError) || Date.now() > deadline) throw error;
      await sleep(PAUSE_MS);
    }
  }
}
