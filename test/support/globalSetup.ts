import { startScriptedModel } from '../../dev/model';
import { terminalProgress } from '../../dev/progress';
import { startTemporal } from '../../dev/temporal';
import { ADDRESSES_VARIABLE, realVersions, startReal, type RealServers } from './real';
import { keepForTeardown, stopAll, type Stoppable } from './startedServers';

/** Starts what the tests share, all at once, and tells them where it is. */
export default async function globalSetup(): Promise<void> {
  const progress = terminalProgress({ yes: true });
  const model = await startScriptedModel();
  const starts = [
    startTemporal({ progress }),
    ...realVersions().map((version) => startReal(version, model, progress)),
  ] as const;
  const settled = await Promise.allSettled<Stoppable>(starts);
  const started = settled.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  keepForTeardown([model, ...started]);
  if (started.length < starts.length) await stopAll();
  const [temporal, ...servers] = await Promise.all(starts);
  const addresses: RealServers = {
    temporal,
    model: { url: model.url, key: model.key },
    openWebUI: Object.fromEntries(
      servers.map(({ url, version, token, userName, email, password }) => [
        version,
        { url, version, token, userName, email, password },
      ]),
    ),
  };
  process.env[ADDRESSES_VARIABLE] = JSON.stringify(addresses);
}
