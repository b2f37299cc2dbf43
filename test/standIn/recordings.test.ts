import { startStandIn } from '../../dev/standIn';
import { recordings } from './recording';
import { Replay } from './replay';

describe.each(['0.6.15', '0.6.30', '0.6.41', '0.6.43', '0.7.2', '0.8.12', '0.9.6', '0.10.2', '0.11.4', '0.12.4'])(
  'The stand-in of %s',
  (release) => {
    const scenarios = recordings().filter((recording) => recording.release === release);

    test.concurrent.each(scenarios.map((recording) => [recording.scenario, recording] as const))(
      'answers %s as the real server did',
      async (_scenario, recording) => {
        const standIn = await startStandIn({ release });
        try {
          expect(await new Replay(standIn, recording).run()).toEqual([]);
        } finally {
          await standIn.stop();
        }
      },
    );
  },
);
