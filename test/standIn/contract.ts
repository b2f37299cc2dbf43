import { startStandIn } from '../../dev/standIn';
import { contractSuite } from '../contract/contract';
import { FILTERED, type MortalServer } from '../contract/server';

/** Puts the contract suite to the stand-in as each of these releases. */
export function contractOfStandIn(releases: readonly string[]): void {
  describe.each(releases)('%s', (release) => {
    const startMortal = () => startSubject(release);
    contractSuite('The stand-in', { release, start: startMortal, startMortal });
  });
}

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
