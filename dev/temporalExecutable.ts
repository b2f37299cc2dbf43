import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory, makeOnce } from './cache';
import { run } from './processes';
import { isExecutable, isReachable, onPath } from './programs';
import type { Progress } from './progress';

/** The newest release whose module can be installed with `go install`. */
const GO_MODULE = 'github.com/temporalio/cli/cmd/temporal@v1.5.1';
/** Packages that the module's build compiles; the length of the progress bar. */
const GO_PACKAGES = 1_290;
const DOWNLOAD_HOST = 'temporal.download';
const REMEDY = 'Set TEMPORAL_ADDRESS to a running Temporal, or TEMPORAL_CLI_PATH to a temporal command-line program.';

export interface TemporalExecutable {
  path: string;
  /** Where it comes from, as the end of a sentence. */
  how: string;
}

/**
 * The `temporal` command-line program, which contains the dev server: the one given, the one installed, the one in the
 * cache; else the one that the SDK downloads; else built with Go.
 */
export async function temporalExecutable(progress: Progress): Promise<TemporalExecutable> {
  return (await findTemporalExecutable()) ?? (await fetchTemporalExecutable(progress));
}

async function findTemporalExecutable(): Promise<TemporalExecutable | undefined> {
  const given = process.env.TEMPORAL_CLI_PATH;
  if (given) {
    if (!(await isExecutable(given))) throw new Error(`TEMPORAL_CLI_PATH names no executable file: ${given}`);
    return { path: given, how: 'given by TEMPORAL_CLI_PATH' };
  }
  const installed = await onPath('temporal');
  if (installed) return { path: installed, how: 'found on PATH' };
  const cached = await inCache();
  return cached === undefined ? undefined : { path: cached, how: 'found in the cache' };
}

async function fetchTemporalExecutable(progress: Progress): Promise<TemporalExecutable> {
  const go = await onPath('go');
  const canDownload = await isReachable(DOWNLOAD_HOST);
  if (!canDownload && !go) {
    throw new Error(
      `There is no temporal program, ${DOWNLOAD_HOST} cannot be reached and Go is not installed. ${REMEDY}`,
    );
  }
  if (canDownload) {
    try {
      await progress.mayFetch('the Temporal dev server', 'a download of about 60 MB, 200 MB on disk', REMEDY);
      return { path: await downloadWithSdk(), how: `downloaded from ${DOWNLOAD_HOST}, as the Temporal SDK does` };
    } catch (error) {
      if (!go) throw error;
      progress.say(`The download of the Temporal dev server failed (${(error as Error).message}).`);
    }
  }
  const size = 'about 350 MB of Go modules, 250 MB on disk, about five minutes of compiling on two cores';
  await progress.mayFetch('the Temporal dev server (built with Go)', size, REMEDY);
  const path = join(cacheDirectory(), 'bin', 'temporal');
  await makeOnce(path, (temporary) => buildWithGo(go as string, temporary, progress));
  return { path, how: `built with Go from ${GO_MODULE}, as ${DOWNLOAD_HOST} could not be used` };
}

/** The SDK downloads only in order to start a server; that server is stopped at once. */
async function downloadWithSdk(): Promise<string> {
  const { TestWorkflowEnvironment } = await import('@temporalio/testing');
  const downloadDir = join(cacheDirectory(), 'bin');
  await mkdir(downloadDir, { recursive: true, mode: 0o700 });
  const environment = await TestWorkflowEnvironment.createLocal({
    server: { executable: { type: 'cached-download', downloadDir, ttl: '365 days' } },
  });
  await environment.teardown();
  const path = await inCache();
  if (!path) throw new Error(`The SDK left no program in ${downloadDir}.`);
  return path;
}

async function buildWithGo(go: string, target: string, progress: Progress): Promise<void> {
  const directory = `${target}.build`;
  const bar = progress.bar('Building temporal', GO_PACKAGES);
  let packages = 0;
  try {
    await run(go, ['install', '-v', GO_MODULE], {
      environment: { ...process.env, GOBIN: directory },
      onLine: () => bar.set((packages += 1)),
    });
    await rename(join(directory, 'temporal'), target);
  } finally {
    bar.done();
    await rm(directory, { recursive: true, force: true });
  }
}

async function inCache(): Promise<string | undefined> {
  const directory = join(cacheDirectory(), 'bin');
  const names = existsSync(directory) ? await readdir(directory) : [];
  const name = names.find((each) => each === 'temporal' || /^temporal-sdk-typescript-[\d.]+$/.test(each));
  return name === undefined ? undefined : join(directory, name);
}
