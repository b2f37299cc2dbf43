import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chooseModel, type ChosenModel } from './chooseModel';
import { givenOpenWebUI } from './givenOpenWebUI';
import { prepareOpenWebUI, startOpenWebUI, type OpenWebUI, type OpenWebUIServer } from './openWebUI';
import { DEFAULT_VERSION } from './openWebUIEnvironment';
import { silentProgress, type Progress } from './progress';
import { onEnd } from './signals';
import { givenTemporal, startTemporal, type Temporal, type TemporalServer } from './temporal';
import { temporalExecutable } from './temporalExecutable';
import { prepareTopology, startTopology } from './topology';

/** Temporal, Open WebUI and a model, ready to be worked with. */
export interface Stack {
  /** Has `kill` and `restart` if it is our own: see {@link isOwn}. */
  temporal: Temporal | TemporalServer;
  /** Has `kill` and `restart` if it is our own. */
  openWebUI: OpenWebUI | OpenWebUIServer;
  /** Undefined where Open WebUI was given: it has models of its own. */
  model: ChosenModel | undefined;
  /** What a worker or a client has to find in its environment in order to use this stack. */
  environment: Record<string, string>;
  /** Ends what was started, and nothing else. May be called more than once. */
  stop(): Promise<void>;
}

/** What Open WebUI runs on: one process with SQLite, or several behind nginx on PostgreSQL and Redis. */
export type TopologyName = 'single' | 'pg-redis';

export interface StackOptions {
  /** Default: `OPENWEBUI_VERSION`, else `0.12.4`. */
  openWebUIVersion?: string | undefined;
  /** Of an Open WebUI of our own. Default `single`. */
  topology?: TopologyName | undefined;
  /** Take the scripted model, whatever else there is. */
  scriptedModel?: boolean | undefined;
  /** Used in place of the one that would be chosen, and stopped with the stack. */
  model?: ChosenModel | undefined;
  /** Keeps the databases. Default: temporary, and gone at the end. Only with the topology `single`. */
  dataDirectory?: string | undefined;
  /** Default: free ones. */
  ports?: { temporal?: number; temporalWeb?: number; openWebUI?: number };
  /** Default: silent, and never asks. */
  progress?: Progress | undefined;
}

/** Whether a part was started here, so that it can be killed and restarted. */
export function isOwn<T extends TemporalServer | OpenWebUIServer>(part: Temporal | OpenWebUI | T): part is T {
  return 'restart' in part;
}

/**
 * Uses what is given, finds what is there, fetches what is missing, and starts it. On SIGINT and SIGTERM everything is
 * stopped and the process ends.
 * @throws Error that says what to do, with nothing left running.
 */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const { progress = silentProgress } = options;
  if (!isSingle(options) && options.dataDirectory) throw new Error('This topology keeps nothing: leave out --data.');
  const parts = new Parts();
  if (options.model) parts.add(options.model);
  try {
    const [given, version] = [await givenParts(), openWebUIVersion(options)];
    // All that may ask or take minutes comes first, and one after the other.
    if (!given.temporal) await temporalExecutable(progress);
    if (!given.openWebUI) await (isSingle(options) ? prepareOpenWebUI : prepareTopology)(version, progress);
    if (options.dataDirectory) await mkdir(options.dataDirectory, { recursive: true, mode: 0o700 });
    const temporal = given.temporal ?? startOwnTemporal(options, parts);
    const served = given.openWebUI ? { openWebUI: given.openWebUI } : startOwnOpenWebUI(version, options, parts);
    const [first, second] = await allOrError([Promise.resolve(temporal), Promise.resolve(served)]);
    const stack = { temporal: first, model: undefined, ...second };
    for (const part of [stack.temporal, stack.openWebUI, stack.model]) if (part) progress.say(`${part.how}.`);
    return { ...stack, environment: environmentFor(stack), stop: () => parts.stop() };
  } catch (error) {
    await parts.stop();
    throw error;
  }
}

function isSingle({ topology = 'single' }: StackOptions): boolean {
  return topology === 'single';
}

async function givenParts() {
  return { temporal: await givenTemporal(), openWebUI: await givenOpenWebUI() };
}

function openWebUIVersion(options: StackOptions): string {
  return (options.openWebUIVersion ?? process.env.OPENWEBUI_VERSION) || DEFAULT_VERSION;
}

async function startOwnTemporal(options: StackOptions, parts: Parts): Promise<TemporalServer> {
  const { ports, dataDirectory, progress } = options;
  const databaseFile = dataDirectory && join(dataDirectory, 'temporal.db');
  const server = await startTemporal({ port: ports?.temporal, webPort: ports?.temporalWeb, databaseFile, progress });
  return parts.add(server);
}

async function startOwnOpenWebUI(version: string, options: StackOptions, parts: Parts) {
  const model = options.model ?? parts.add(await chooseModel({ scripted: options.scriptedModel }));
  const { ports, progress } = options;
  const access = { version, modelUrl: model.url, modelKey: model.key, port: ports?.openWebUI, progress };
  const dataDirectory = options.dataDirectory && join(options.dataDirectory, `open-webui-${version}`);
  const openWebUI = isSingle(options)
    ? await startOpenWebUI({ ...access, dataDirectory })
    : await startTopology(access);
  return { model, openWebUI: parts.add(openWebUI) };
}

/** Like Promise.all, but an error waits for the other one too: it has to be known in order to be stopped. */
async function allOrError<A, B>(both: [Promise<A>, Promise<B>]): Promise<[A, B]> {
  await Promise.allSettled(both);
  return Promise.all(both);
}

/** What a worker or a client of these has to find in its environment. @param settings that the given ones were reached with */
export function environmentFor(
  { temporal, openWebUI }: Pick<Stack, 'temporal' | 'openWebUI'>,
  settings = process.env,
): Record<string, string> {
  const { url, token, email, password } = openWebUI;
  const credential: Record<string, string> =
    email !== undefined && password !== undefined
      ? { OPENWEBUI_EMAIL: email, OPENWEBUI_PASSWORD: password }
      : { OPENWEBUI_API_KEY: token };
  return {
    ...(isOwn<TemporalServer>(temporal) ? OWN_TEMPORAL_SETTINGS : givenTemporalSettings(settings)),
    TEMPORAL_ADDRESS: temporal.address,
    TEMPORAL_NAMESPACE: temporal.namespace,
    OPENWEBUI_URL: url,
    ...credential,
  };
}

/** TLS, keys and profiles of a Temporal that was given: whoever works with it needs them, too. */
function givenTemporalSettings(settings: NodeJS.ProcessEnv): Record<string, string> {
  const isMeant = ([name]: [string, unknown]): boolean => name.startsWith('TEMPORAL_') || name === 'XDG_CONFIG_HOME';
  return Object.fromEntries(Object.entries(settings).filter(isMeant)) as Record<string, string>;
}

/** A key or a profile that is there for another Temporal would have TLS spoken with ours. */
const OWN_TEMPORAL_SETTINGS = { TEMPORAL_TLS: 'false' };

/** Lines for a POSIX shell, which set what clients and workers of a stack need. */
export function exportLines(environment: Record<string, string>): string[] {
  return Object.entries(environment).map(([name, value]) => `  export ${name}='${value.replaceAll("'", `'\\''`)}'`);
}

interface Part {
  stop(): Promise<void>;
}

/** What has been started, for the end of it all. */
class Parts {
  private readonly parts: Part[] = [];
  private stopping: Promise<void> | undefined;
  private readonly stopHearing = onEnd((code) => void this.stop().finally(() => process.exit(code)));

  add<T extends Part>(part: T): T {
    this.parts.push(part);
    return part;
  }

  stop(): Promise<void> {
    this.stopping ??= this.stopAll();
    return this.stopping;
  }

  private async stopAll(): Promise<void> {
    await Promise.allSettled(this.parts.map((part) => part.stop()));
    this.stopHearing();
  }
}
