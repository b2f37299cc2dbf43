/**
 * Asks one question in a new chat and a second one in the same chat, and prints both replies.
 *
 *   npx tsx examples/ask.ts <model> [request key]
 *
 * Run it twice with one request key: the second time it prints the same replies, and no further chat is made. Another
 * project imports from 'openwebui-orchestrator' instead of '../src/client'.
 */
import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { OrchestrationError, Orchestrator } from '../src/client';

async function main(): Promise<void> {
  const [model, requestKey = 'example'] = process.argv.slice(2);
  if (model === undefined) throw new Error('Name a model; "npm run -s starter -- models" lists them.');
  // TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY … as all of Temporal's tools read them.
  const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
  const connection = await Connection.connect(connectionOptions);
  try {
    const orchestrator = new Orchestrator(new Client({ connection, namespace }));
    const question = { model, prompt: 'What is the capital of France?', tags: ['example'] };
    const first = await (await orchestrator.startChat(question, { requestKey: `${requestKey}/1` })).result();
    console.log(`${first.content}\n${first.url}\n`);

    const further = { model, prompt: 'And how many people live there?', chat: { id: first.chatId } };
    const second = await (await orchestrator.startChat(further, { requestKey: `${requestKey}/2` })).result();
    console.log(second.content);
  } catch (error) {
    if (!(error instanceof OrchestrationError)) throw error;
    // `type` is stable; `details` tells what stands in Open WebUI all the same.
    console.error(`${error.type}: ${error.message} ${error.details.url ?? ''}`);
    process.exitCode = 1;
  } finally {
    await connection.close();
  }
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
