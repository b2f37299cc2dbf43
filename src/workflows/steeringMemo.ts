/** What a batch was told stands in its memo: there it is found by whoever begins it anew, also where no worker answers. */
import { upsertMemo, workflowInfo } from '@temporalio/workflow';
import { BATCH_STEERING_MEMO } from '../batchContract';
import type { BatchState } from './batchState';

export class SteeringMemo {
  private written: string;

  /** What a batch starts with need not be written: it is known from its start. */
  constructor(private readonly batch: BatchState) {
    this.written = JSON.stringify(workflowInfo().memo?.[BATCH_STEERING_MEMO] ?? batch.steering);
  }

  get isOutdated(): boolean {
    return JSON.stringify(this.batch.steering) !== this.written;
  }

  write(): void {
    if (!this.isOutdated) return;
    const { steering } = this.batch;
    upsertMemo({ [BATCH_STEERING_MEMO]: steering });
    this.written = JSON.stringify(steering);
  }
}
