/** What all cells share: Temporal, the model, real servers, and what workers need. */
import { startScriptedModel, type ScriptedModel } from '../../dev/model';
import { startOpenWebUI, type OpenWebUIServer } from '../../dev/openWebUI';
import type { Progress } from '../../dev/progress';
import { startTemporal, type TemporalServer } from '../../dev/temporal';
import { Turnstile } from './turnstile';
import type { WorkerHost } from './workers';

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
  ) {}

  /** @param realReleases of Open WebUI that are started besides */
  static async set(workers: WorkerHost, realReleases: string[], progress: Progress): Promise<Stage> {
    const model = await startScriptedModel();
    const temporal = await startTemporal({ progress });
    const real = new Map<string, Promise<SharedServer>>();
    for (const version of realReleases) {
      const server = startOpenWebUI({ version, modelUrl: model.url, modelKey: model.key, progress });
      const shared = server.then((started) => ({ server: started, turnstile: new Turnstile() }));
      shared.catch(() => undefined);
      real.set(version, shared);
    }
    return new Stage(temporal, model, workers, real);
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
    const servers = await Promise.allSettled(this.real.values());
    const started = servers.flatMap((one) => (one.status === 'fulfilled' ? [one.value.server] : []));
    await Promise.allSettled([this.temporal, this.model, ...started].map((one) => one.stop()));
  }
}
