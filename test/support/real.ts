import { startOpenWebUI, type OpenWebUI, type OpenWebUIServer } from '../../dev/openWebUI';
import type { Progress } from '../../dev/progress';
import type { Temporal } from '../../dev/temporal';
import { prepareTopology, startTopology } from '../../dev/topology';

/** The servers that the tests of a run share. Nobody may stop or kill one of these: a test that does starts its own. */
export interface RealServers {
  temporal: Temporal;
  /** The scripted model behind every Open WebUI. Its log is read with `readModelLog`. */
  model: { url: string; key: string };
  /** By release. */
  openWebUI: Record<string, RealOpenWebUI>;
}

/** With the first user's credential, who is an administrator. */
export type RealOpenWebUI = Pick<OpenWebUI, 'url' | 'version' | 'token' | 'userName' | 'email' | 'password'>;

/** Tests run in other processes than the one that starts the servers, and inherit its environment. */
export const ADDRESSES_VARIABLE = 'ORCHESTRATOR_TEST_SERVERS';

/** The releases that the shared servers are of, comma-separated. */
export const VERSIONS_VARIABLE = 'ORCHESTRATOR_TEST_OPENWEBUI_VERSIONS';

/** `pg-redis` where they are to run as in production; without it each is one process. */
export const TOPOLOGY_VARIABLE = 'ORCHESTRATOR_TEST_TOPOLOGY';

const VERSIONS = '0.12.4,0.6.15';

/** An Open WebUI of the kind that the tests are run on. */
export async function startReal(
  version: string,
  model: { url: string; key: string },
  progress?: Progress,
): Promise<OpenWebUIServer> {
  const options = { version, modelUrl: model.url, modelKey: model.key, progress };
  if (process.env[TOPOLOGY_VARIABLE] !== 'pg-redis') return startOpenWebUI(options);
  if (progress !== undefined) await prepareTopology(version, progress);
  return startTopology(options);
}

/** The releases to test with: `0.12.4` and `0.6.15`, unless the environment names others. For `describe.each`. */
export function realVersions(): string[] {
  return (process.env[VERSIONS_VARIABLE] || VERSIONS).split(',').map((version) => version.trim());
}

/** @throws Error outside of `test/e2e`, `test/contract` and `test/proofs`, which are started with servers. */
export function realServers(): RealServers {
  const addresses = process.env[ADDRESSES_VARIABLE];
  if (!addresses)
    throw new Error('No real servers: only test/e2e, test/contract and test/proofs are started with them.');
  return JSON.parse(addresses) as RealServers;
}

/** @throws Error if that release is not among {@link realVersions}. */
export function realOpenWebUI(version: string): RealOpenWebUI {
  const server = realServers().openWebUI[version];
  if (!server) throw new Error(`There is no Open WebUI ${version}: the servers are ${realVersions().join(' and ')}.`);
  return server;
}
