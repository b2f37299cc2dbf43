/** Whether the workflows of today go on with the histories that the cells have left. */
import { historyFromJSON } from '@temporalio/common/lib/proto-utils';
import { Worker } from '@temporalio/worker';
import type { RunHistory } from './evidence';

export interface HistoryToReplay {
  workflowId: string;
  history: RunHistory;
}

/** What is wrong, by workflow id. All histories are replayed by one worker: to start one costs more than to replay. */
export async function replayFaults(
  workflowBundle: { code: string },
  histories: HistoryToReplay[],
): Promise<Map<string, string>> {
  const faults = new Map<string, string>();
  const given = histories.map(({ workflowId, history }) => ({ workflowId, history: historyFromJSON(history) }));
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, given)) {
    if (error) faults.set(workflowId, `the history does not replay: ${error.message}`);
  }
  return faults;
}
