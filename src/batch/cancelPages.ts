/** Pages that no batch looks after any more, as those of an upload that was given up: they would wait for weeks. */
import { ServiceError, WorkflowNotFoundError, type Client } from '@temporalio/client';
import { RUN_PAGE, batchWorkflowId, pageWorkflowId, type PageInput } from '../batchContract';

type PageAt = Pick<PageInput, 'round' | 'page'>;

/**
 * @param round that of which an upload may have been interrupted
 * @returns how many were told to cancel
 */
export async function cancelPages(client: Client, batchKey: string, round: number): Promise<number> {
  const visible = await visiblePages(client, batchKey);
  let cancelled = 0;
  for (const at of visible) if ((await cancelPage(client, batchKey, at)) === 'cancelled') cancelled++;
  // What was just uploaded may not be visible yet; an upload numbers its pages one after the other.
  const last = Math.max(-1, ...visible.filter((at) => at.round === round).map(({ page }) => page));
  for (let page = last + 1; ; page++) {
    const what = await cancelPage(client, batchKey, { round, page });
    if (what === 'missing') return cancelled;
    if (what === 'cancelled') cancelled++;
  }
}

async function cancelPage(client: Client, batchKey: string, at: PageAt): Promise<'cancelled' | 'ended' | 'missing'> {
  const handle = client.workflow.getHandle(pageWorkflowId({ batchKey, ...at }));
  try {
    const { status } = await handle.describe();
    if (status.name !== 'RUNNING') return 'ended';
    await handle.cancel();
    return 'cancelled';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'missing';
    throw error;
  }
}

/** By their ids: whether search attributes are registered does not matter. */
async function visiblePages(client: Client, batchKey: string): Promise<PageAt[]> {
  const prefix = `${batchWorkflowId(batchKey)}-`;
  // Temporal finds nothing by a double quote or a backslash, however it is escaped.
  const quoted = prefix.replace(/["\\].*/s, '').replaceAll("'", "\\'");
  const query = `WorkflowType = '${RUN_PAGE}' AND ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH '${quoted}'`;
  const pages: PageAt[] = [];
  try {
    for await (const { workflowId } of client.workflow.list({ query })) {
      if (!workflowId.startsWith(prefix)) continue;
      const [, round = 0, page] = /^(?:retry-(\d+)-)?page-(\d+)$/.exec(workflowId.slice(prefix.length)) ?? [];
      if (page !== undefined) pages.push({ round: Number(round), page: Number(page) });
    }
  } catch (error) {
    // Servers before 1.23 cannot search by a prefix.
    if (!(error instanceof ServiceError)) throw error;
  }
  return pages;
}
