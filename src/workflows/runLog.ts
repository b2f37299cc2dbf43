/** What the worker's log tells of a run: one line, at its end. */
import { log, workflowInfo } from '@temporalio/workflow';
import type { ChatStatus } from '../contract';
import { tokensOf } from '../usage';

/** Costs no history event, and is not told again on replay. It holds no text of the conversation. */
export function logEnd(
  { stage, connection, model, chatId, failure, generations }: Omit<ChatStatus, 'startedAt' | 'stageSince'>,
  usage?: Record<string, unknown>,
): void {
  log[stage === 'failed' ? 'warn' : 'info']('Run ended', {
    stage,
    connection,
    model,
    chatId,
    failureType: failure,
    generations,
    promptTokens: tokensOf(usage, 'prompt'),
    completionTokens: tokensOf(usage, 'completion'),
    durationMs: Date.now() - workflowInfo().startTime.getTime(),
  });
}
