/** The workflows, bundled once for all test files: webpack takes seconds, and every file that starts a worker needs them. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DefaultLogger, bundleWorkflowCode } from '@temporalio/worker';

const ROOT = join(__dirname, '..', '..');
const WORKFLOWS = join(ROOT, 'src', 'workflows');
const CACHE = join(ROOT, 'node_modules', '.cache', 'openwebui-orchestrator');

/** The path of the bundle of the sources as they are now. */
export async function workflowBundle(): Promise<{ codePath: string }> {
  const codePath = join(CACHE, `workflows-${await hashOfSources()}.js`);
  if (existsSync(codePath)) return { codePath };
  const logger = new DefaultLogger('ERROR');
  const { code } = await bundleWorkflowCode({ workflowsPath: WORKFLOWS, logger });
  await mkdir(CACHE, { recursive: true });
  // Written aside, because another test file may be about to read it.
  const temporary = `${codePath}.${process.pid}`;
  await writeFile(temporary, code);
  await rename(temporary, codePath);
  return { codePath };
}

/** Of everything that gets into the bundle. */
async function hashOfSources(): Promise<string> {
  const names = (await readdir(WORKFLOWS)).map((name) => join(WORKFLOWS, name)).sort();
  const files = [...names, join(ROOT, 'src', 'contract.ts'), join(ROOT, 'package-lock.json')];
  const hash = createHash('sha256');
  for (const file of files) hash.update(await readFile(file));
  return hash.digest('hex').slice(0, 16);
}
