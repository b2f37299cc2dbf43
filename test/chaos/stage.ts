/** What all cells share: Temporal, the model, real servers, and what workers need. */
import { NativeConnection } from '@temporalio/worker';
import { startScriptedModel, type ScriptedModel } from '../../dev/model';
import { startOpenWebUI, type OpenWebUIServer } from '../../dev/openWebUI';
import type { Progress } from '../../dev/progress';
import { startTemporal, type TemporalServer } from '../../dev/temporal';
import { startTopology, type Topology } from '../../dev/topology';
import type { TopologyKind } from './cell';
import { Turnstile } from './turnstile';
import type { WorkerHost } from './workers';

/** For which Redis lists a task whose process is gone. Default of Open WebUI 300. */
const REDIS_TASK_TTL_SECONDS = '60';
/** Else users who are no administrators see no model. */
const MODELS_FOR_ALL = { BYPASS_MODEL_ACCESS_CONTROL: 'True' };

/** A real Open WebUI, which many cells use at once and some alone. */
export interface SharedServer {
  server: OpenWebUIServer;
  turnstile: Turnstile;
}

export interface ServersWanted {
  /** Releases of Open WebUI, one process of each. */
  real: string[];
  topology?: { kind: TopologyKind; release: string } | undefined;
}

export class Stage {
  private constructor(
    readonly temporal: TemporalServer,
    readonly model: ScriptedModel,
    readonly workers: WorkerHost,
    private readonly real: Map<string, Promise<SharedServer>>,
    private readonly connection: NativeConnection,
    readonly topology: Topology | undefined,
  ) {}

  /** @param wanted what of Open WebUI is started besides */
  static async set(workers: WorkerHost, wanted: ServersWanted, progress: Progress): Promise<Stage> {
    const model = await startScriptedModel();
    const temporal = await startTemporal({ progress });
    // Temporal's runtime, and its metrics with it, end with the last connection or worker in this process.
    const connection = await NativeConnection.connect({ address: temporal.address });
    const real = new Map<string, Promise<SharedServer>>();
    for (const version of wanted.real) {
      const access = { modelUrl: model.url, modelKey: model.key, environment: MODELS_FOR_ALL };
      const server = startOpenWebUI({ version, ...access, progress });
      const shared = server.then((started) => ({ server: started, turnstile: new Turnstile() }));
      shared.catch(() => undefined);
      real.set(version, shared);
    }
    let topology: Topology | undefined;
    if (wanted.topology) {
      const { kind, release: version } = wanted.topology;
      const environment = { ...MODELS_FOR_ALL, REDIS_TASK_TTL: REDIS_TASK_TTL_SECONDS };
      const access = { modelUrl: model.url, modelKey: model.key, environment };
      topology = await startTopology({ version, ...access, redis: kind === 'pg-redis', progress });
    }
    return new Stage(temporal, model, workers, real, connection, topology);
  }

  /** With which histories are replayed. */
  get workflowBundle(): { code: string } {
    return this.workers.compiled.workflowBundle;
  }

  /** For files of the cells. */
  get directory(): string {
    return this.workers.compiled.directory;
  }

  realServer(release: string): Promise<SharedServer> {
    const server = this.real.get(release);
    if (server === undefined) throw new Error(`no real Open WebUI ${release} was started`);
    return server;
  }

  async strike(): Promise<void> {
    await this.connection.close();
    const servers = await Promise.allSettled(this.real.values());
    const started = servers.flatMap((one) => (one.status === 'fulfilled' ? [one.value.server] : []));
    const topology = this.topology === undefined ? [] : [this.topology];
    await Promise.allSettled([this.temporal, this.model, ...started, ...topology].map((one) => one.stop()));
  }
}
