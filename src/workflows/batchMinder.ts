/** Looks after Open WebUI: a batch pauses while it fails as a whole, and goes on by itself when it answers again. */
import { CancellationScope } from '@temporalio/workflow';
import { minding } from './activityOptions';
import type { BatchState } from './batchState';

type Until = BatchState['mindUntil'];

export class Minder {
  private scope = new CancellationScope();
  private until: Until;
  private ended: Promise<void> = Promise.resolve();

  constructor(
    private readonly batch: BatchState,
    private readonly connections: string[],
  ) {}

  /** It watches for something else than the batch wants to know. */
  get isOutdated(): boolean {
    return this.connections.length > 0 && this.until !== this.batch.mindUntil;
  }

  look(): void {
    if (!this.isOutdated) return;
    this.scope.cancel();
    const scope = new CancellationScope();
    this.scope = scope;
    this.until = this.batch.mindUntil;
    const { until } = this;
    if (until !== undefined) this.ended = scope.run(() => this.watch(scope, until));
  }

  async stop(): Promise<void> {
    this.scope.cancel();
    await this.ended;
  }

  private async watch(scope: CancellationScope, until: 'failing' | 'answering'): Promise<void> {
    const summary = until === 'failing' ? 'Look after Open WebUI' : 'Wait until Open WebUI answers again';
    const { connections } = this;
    try {
      const { reason } = await minding().awaitServer.executeWithOptions({ summary }, [{ connections, until }]);
      if (until === 'failing') this.batch.pause({ by: 'server', reason: reason ?? 'Open WebUI does not answer' });
      else this.batch.recovered();
      this.until = undefined;
    } catch {
      // Nobody can tell: the rows will say so.
      if (!scope.consideredCancelled) this.batch.recovered();
    }
  }
}
