import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory, makeOnce } from './cache';
import { run } from './processes';
import { onPath } from './programs';
import type { Progress } from './progress';

/** The release that is used where none is asked for. */
export const DEFAULT_VERSION = '0.12.4';

const REMEDY = 'Set OPENWEBUI_URL to an Open WebUI that is running.';

/** Open WebUI runs on these; uv takes the first that it finds, or fetches one. */
const PYTHON = '>=3.11,<3.13';

/**
 * PyTorch computes embeddings on the spot. Here the model's own API does that, so some gigabytes of CUDA libraries
 * are left out; every release from 0.6.15 on starts without them.
 */
const OVERRIDES = "torch ; sys_platform == 'none'\n";

/** Needed by every release, but 0.6.30 and its neighbours do not say so. */
const UNDECLARED = ['itsdangerous'];

/** Megabytes, from a measured installation; the length of the progress bar. */
const DOWNLOAD_SIZE = 510;

/**
 * A virtual environment with Open WebUI from PyPI, one for each release, in the cache. Gives the path of its
 * `open-webui` program.
 * @throws Error that says what to do, if it is not there and cannot be installed.
 */
export async function openWebUIEnvironment(version: string, progress: Progress): Promise<string> {
  if (!/^\d+\.\d+\.\d+[\w.]*$/.test(version)) {
    throw new Error(
      `"${version}" is not a release of Open WebUI. Set OPENWEBUI_VERSION to one, such as ${DEFAULT_VERSION}.`,
    );
  }
  const directory = join(cacheDirectory(), 'open-webui', version);
  const program = join(directory, 'bin', 'open-webui');
  // The environment is of no use any more if the Python that it was made with has been removed.
  if (existsSync(directory) && !existsSync(join(directory, 'bin', 'python'))) await rm(directory, { recursive: true });
  if (existsSync(program)) return program;
  const size = 'a download of about 0.5 GB from PyPI, 2 GB on disk';
  await progress.mayFetch(`Open WebUI ${version}`, size, REMEDY);
  const uv = await findUv(progress);
  await makeOnce(directory, (temporary) => install(uv, version, temporary, progress));
  return program;
}

async function install(uv: string, version: string, directory: string, progress: Progress): Promise<void> {
  const environment = uvEnvironment();
  await run(uv, ['venv', '--quiet', '--relocatable', '--python', PYTHON, directory], { environment });
  const overrides = join(directory, 'overrides.txt');
  await writeFile(overrides, OVERRIDES);
  const bar = progress.bar(`Installing Open WebUI ${version}`, DOWNLOAD_SIZE);
  const started = Date.now();
  const python = join(directory, 'bin', 'python');
  const packages = [`open-webui==${version}`, ...UNDECLARED];
  try {
    await run(uv, ['pip', 'install', '--python', python, '--override', overrides, ...packages], {
      environment,
      onLine: downloadMeter((megabytes) => bar.set(megabytes)),
    });
  } catch (error) {
    throw new Error(`Open WebUI ${version} could not be installed. ${REMEDY}\n${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    bar.done();
  }
  progress.say(`Installed Open WebUI ${version} in ${Math.round((Date.now() - started) / 1000)} s.`);
}

/** Puts packages from PyPI into a directory of their own, for the Python that is named. */
export async function installInto(
  directory: string,
  python: string,
  packages: string[],
  progress: Progress,
): Promise<void> {
  const uv = await findUv(progress);
  const target = ['--python', python, '--target', directory];
  await run(uv, ['pip', 'install', '--quiet', ...target, ...packages], { environment: uvEnvironment() });
}

/** Reads uv's `Downloading scipy (33.7MiB)` and ` Downloaded scipy`, and gives the megabytes that have arrived. */
function downloadMeter(onChange: (megabytes: number) => void): (line: string) => void {
  const sizes = new Map<string, number>();
  let arrived = 0;
  return (line) => {
    const [, begun, size] = /Downloading (\S+) \(([\d.]+)MiB\)/.exec(line) ?? [];
    if (begun !== undefined) sizes.set(begun, Number(size));
    const [, finished] = /Downloaded (\S+)/.exec(line) ?? [];
    if (finished === undefined) return;
    arrived += sizes.get(finished) ?? 0;
    onChange(arrived);
  };
}

function uvEnvironment(): NodeJS.ProcessEnv {
  const { PIP_INDEX_URL, UV_DEFAULT_INDEX } = process.env;
  const index = UV_DEFAULT_INDEX ?? PIP_INDEX_URL;
  return { ...process.env, ...(index ? { UV_DEFAULT_INDEX: index } : {}) };
}

/** The package installer `uv`: the one installed, else from PyPI into the cache. */
async function findUv(progress: Progress): Promise<string> {
  const installed = await onPath('uv');
  if (installed) return installed;
  const directory = join(cacheDirectory(), 'uv');
  await makeOnce(directory, async (temporary) => {
    const python = await pythonWithPip();
    progress.say('Fetching uv, which installs Python packages: 20 MB from PyPI.');
    await run(python, ['-m', 'pip', 'install', '--quiet', '--target', temporary, 'uv']);
  });
  return join(directory, 'bin', 'uv');
}

async function pythonWithPip(): Promise<string> {
  for (const name of ['python3', 'python3.12', 'python3.11', 'python']) {
    const works = await run(name, ['-m', 'pip', '--version']).then(
      () => true,
      () => false,
    );
    if (works) return name;
  }
  throw new Error(`Open WebUI needs uv, or a Python with pip to fetch it with, and neither is there. ${REMEDY}`);
}
