/** What all cells share: Temporal, the model, real servers, and what workers need. */
import { NativeConnection } from '@temporalio/worker';
import { startScriptedModel, type ScriptedModel } from '../../dev/model';
import { startOpenWebUI, type OpenWebUIServer } from '../../dev/openWebUI';
import type { Progress } from '../../dev/progress';
import { startTemporal, type TemporalServer } from '../../dev/temporal';
import { Turnstile } from './turnstile';
import type { WorkerHost } from './workers';

/** Else users who are no administrators see no model. */
const MODELS_FOR_ALL = { BYPASS_MODEL_ACCESS_CONTROL: 'True' };

/** A real Open WebUI, which many cells use at once and some alone. */
export interface SharedServer {
  server: OpenWebUIServer;
  turnstile: Turnstile;
}

export class Stage {
  private constructor(
    readonly temporal: TemporalServer,
    readonly model: ScriptedModel,
    readonly workers: WorkerHost,
    private readonly real: Map<string, Promise<SharedServer>>,
    private readonly connection: NativeConnection,
  ) {}

  /** @param realReleases of Open WebUI that are started besides */
  static async set(workers: WorkerHost, realReleases: string[], progress: Progress): Promise<Stage> {
    const model = await startScriptedModel();
    const temporal = await startTemporal({ progress });
    // Temporal's runtime, and its metrics with it, end with the last connection or worker in this process.
    const connection = await NativeConnection.connect({ address: temporal.address });
    const real = new Map<string, Promise<SharedServer>>();
    for (const version of realReleases) {
      const access = { modelUrl: model.url, modelKey: model.key, environment: MODELS_FOR_ALL };
      const server = startOpenWebUI({ version, ...access, progress });
      const shared = server.then((started) => ({ server: started, turnstile: new Turnstile() }));
      shared.catch(() => undefined);
      real.set(version, shared);
    }
    return new Stage(temporal, model, workers, real, connection);
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
    await Promise.allSettled([this.temporal, this.model, ...started].map((one) => one.stop()));
  }
}
