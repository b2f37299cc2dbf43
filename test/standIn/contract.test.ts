import { startStandIn } from '../../dev/standIn';
import { contractSuite } from '../contract/contract';
import { FILTERED, type MortalServer } from '../contract/server';

/** The first and the last release of every set of capabilities, and the odd ones between them. */
const RELEASES = [
  '0.6.15',
  '0.6.22',
  '0.6.30',
  '0.6.40',
  '0.6.41',
  '0.6.43',
  '0.7.2',
  '0.8.12',
  '0.9.6',
  '0.10.2',
].concat(['0.11.0', '0.11.4', '0.12.0', '0.12.4']);

describe.each(RELEASES)('%s', (release) => {
  const startMortal = () => startSubject(release);
  contractSuite('The stand-in', { release, start: startMortal, startMortal });
});

async function startSubject(release: string): Promise<MortalServer> {
  const standIn = await startStandIn({ release });
  const { admin, user, ownModel } = standIn;
  return {
    url: standIn.url,
    release,
    modelUrl: ownModel?.url ?? '',
    person: admin,
    stranger: user,
    makeApiKey: async () => standIn.apiKey(user),
    installOutletFilter: async () => {
      standIn.setOutletFilter((text) => text + FILTERED);
      return async () => standIn.setOutletFilter(undefined);
    },
    kill: () => standIn.kill(),
    restart: () => standIn.restart(),
    stop: () => standIn.stop(),
  };
}
