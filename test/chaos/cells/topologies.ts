/** F19: Open WebUI in production shape. Played on such a topology only, one cell after the other. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Play, TopologyKind } from '../cell';
import type { Scene } from '../scene';

type TopologyPlay = Play & { topology: TopologyKind };

const ON_REDIS = { fault: 'F19', topology: 'pg-redis', killsServer: true, limitMs: 240_000 } as const;
const AWAY_MS = 3_000;
/** Longer than a task may be missing from a list that is to be believed, and shorter than it may where nothing can be seen. */
const UNSEEN_MS = 20_000;

const UNHEARD_MS = 15_000;

/** The gateway happens to lead the worker's event socket and its trigger to these processes. */
function lead(scene: Scene, { socket, trigger }: { socket: number; trigger: number }): void {
  const { replicas } = scene.topology;
  scene.proxy.ways.set('socket', replicas[socket]?.url ?? '');
  scene.proxy.ways.set('trigger', replicas[trigger]?.url ?? '');
}

async function untilHeld(scene: Scene): Promise<void> {
  await scene.untilWriting();
  await scene.untilCalled('trigger');
}

/** Its task stays listed; the worker sees its socket break and no more of the reply. */
const replicaKilled: TopologyPlay = {
  ...ON_REDIS,
  step: 'S3',
  name: 'a process killed in the middle of its reply',
  run: async (scene) => {
    lead(scene, { socket: 0, trigger: 0 });
    await scene.worker();
    await scene.ask('[hold=3]');
    await untilHeld(scene);
    scene.proxy.ways.clear();
    await scene.topology.replicas[0]?.kill();
    return { ends: ['done'], orphans: 1, leastGenerations: 2 };
  },
};

/** A reply may be asked for again at a process that is restarted next. */
const rollingRestart: TopologyPlay = {
  ...ON_REDIS,
  step: 'S3',
  name: 'all processes restarted, one after the other',
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[hold=3]', { maxGenerations: 3 });
    await untilHeld(scene);
    for (const replica of scene.topology.replicas) await replica.restart();
    return { ends: ['done'], orphans: 2, leastGenerations: 2 };
  },
};

/** The reply lives in its process, and no list shows it any more, nor its text. */
const redisForgets: TopologyPlay = {
  ...ON_REDIS,
  step: 'S3',
  name: 'Redis loses its memory while the worker polls',
  credential: 'key',
  run: async (scene) => {
    scene.mustHappen('a list that lacks the task', () => scene.proxy.callsTo('tasks').some(({ tasks }) => tasks === 0));
    await scene.worker();
    await scene.ask('[hold=3]');
    await untilHeld(scene);
    await scene.topology.redis?.kill();
    await sleep(AWAY_MS);
    await scene.topology.redis?.restart();
    await sleep(UNSEEN_MS);
    return { ends: ['done'] };
  },
};

/** What the reply's task then asks of Redis fails, and those words are all that the message ever holds. */
const redisAway: TopologyPlay = {
  ...ON_REDIS,
  step: 'S2',
  name: 'Redis away at the trigger',
  run: async (scene) => {
    scene.fault({
      endpoint: 'trigger',
      kind: 'holdAfter',
      meanwhile: async () => {
        await scene.topology.redis?.kill();
        scene.inBackground(sleep(AWAY_MS).then(() => scene.topology.redis?.restart()));
      },
    });
    await scene.worker();
    await scene.ask();
    return { ends: ['done'], orphans: 1 };
  },
};

/** The socket hears its own process only, and the reply is written in the other one. */
const withoutRedis: TopologyPlay = {
  ...ON_REDIS,
  topology: 'pg',
  step: 'S3',
  name: 'no Redis, and the event socket leads to another process than the reply',
  limitMs: 60_000,
  run: async (scene) => {
    lead(scene, { socket: 0, trigger: 1 });
    scene.mustHappen('an event socket', () => scene.proxy.socketsOpen > 0);
    await scene.worker();
    await scene.ask('[hold=3]');
    await untilHeld(scene);
    // By now the worker has looked at it often enough to leave it to its socket, if it means to.
    await sleep(UNHEARD_MS);
    return { ends: ['done'] };
  },
};

const postgresRestarted: TopologyPlay = {
  ...ON_REDIS,
  step: 'S3',
  name: 'PostgreSQL restarted in the middle of the reply',
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[hold=3]');
    await untilHeld(scene);
    await scene.topology.postgres.restart();
    return { ends: ['done'] };
  },
};

/** The reply has shown no word yet, and its own process lives. */
const otherKilled: TopologyPlay = {
  ...ON_REDIS,
  step: 'S3',
  name: 'the other process killed, two minutes before the first word',
  limitMs: 300_000,
  run: async (scene) => {
    lead(scene, { socket: 0, trigger: 1 });
    await scene.worker();
    await scene.ask('[first=120000]');
    await scene.until('the model is asked', () => scene.generations().length > 0);
    scene.proxy.ways.clear();
    await scene.topology.replicas[0]?.kill();
    return { ends: ['done'] };
  },
};

export const topologies: TopologyPlay[] = [
  replicaKilled,
  otherKilled,
  rollingRestart,
  redisForgets,
  redisAway,
  withoutRedis,
  postgresRestarted,
];
