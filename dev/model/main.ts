import { fstatSync } from 'node:fs';
import { startScriptedModel } from '.';

/**
 * The scripted model as a process of its own: `tsx dev/model/main.ts [port]`. Prints one line of JSON (`url`, `key`)
 * when it listens, and ends on SIGTERM and SIGINT. Started with a pipe as standard input it also ends when the pipe
 * closes, so it never outlives a parent that was killed.
 */
async function main(): Promise<void> {
  const model = await startScriptedModel({ port: Number(process.argv[2] ?? 0) });
  console.log(JSON.stringify({ url: model.url, key: model.key }));
  const stop = () => void model.stop().then(() => process.exit(0));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  const input = fstatSync(0);
  if (input.isFIFO() || input.isSocket()) process.stdin.once('end', stop).resume();
}

void main();
