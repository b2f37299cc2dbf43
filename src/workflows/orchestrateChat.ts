import { ApplicationFailure, TemporalFailure, defineQuery, isCancellation, setHandler } from '@temporalio/workflow';
import {
  DEFAULT_CONNECTION,
  FAILURES,
  STATUS_QUERY,
  placeOf,
  type ChatOutcome,
  type ChatStatus,
  type FailureDetails,
  type OrchestrateChatInput,
} from '../contract';
import { fittedOutcome } from './outcomeSize';
import { failureTypeOf, runFailure } from './failures';
import { Progress } from './progress';
import { withinBudget } from './runBudget';
import { logEnd } from './runLog';
import { replyJson, type ReplyJson } from '../replyJson';
import { runTurn, type TurnOutcome } from './turn';

// --- Messages ---
export const statusQuery = defineQuery<ChatStatus>(STATUS_QUERY);

/**
 * Holds one turn of a conversation in Open WebUI: in a new chat, or in one that exists. The workflow id is the identity of
 * the turn: whatever fails on the way, it stands in the chat once, and the model is asked once.
 *
 * @throws ApplicationFailure with a type of {@link FAILURES} and, in its details, a {@link FailureDetails}
 */
export async function orchestrateChat(input: OrchestrateChatInput): Promise<ChatOutcome> {
  if (typeof input !== 'object' || input === null) {
    const message = 'The workflow has no input; give one object with at least prompt and model.';
    logEnd({ stage: 'failed', connection: DEFAULT_CONNECTION, generations: 0, failure: FAILURES.InvalidInput });
    throw ApplicationFailure.create({ type: FAILURES.InvalidInput, message, nonRetryable: true });
  }
  const progress = new Progress(input);
  setHandler(statusQuery, () => progress.status, { description: 'Stage, chat link and generations of this run' });
  try {
    const outcome = asWanted(input, await withinBudget(input, progress, () => runTurn(input, '1', progress)));
    progress.ended('done');
    logEnd(progress.status, outcome.usage);
    return fittedOutcome(outcome, input.maxOutcomeBytes);
  } catch (error) {
    const failure = runFailure(progress.overdue ?? error, placeOf(progress.status), input.maxOutcomeBytes);
    if (isCancellation(failure)) progress.ended('cancelled');
    else progress.ended('failed', failureTypeOf(failure));
    // Anything else does not end the run: it fails the workflow's task, which is tried again.
    if (failure instanceof TemporalFailure) logEnd(progress.status);
    throw failure;
  }
}

function asWanted(input: OrchestrateChatInput, { notJson, ...outcome }: TurnOutcome): ChatOutcome {
  if (input.replyFormat !== 'json' || outcome.json !== undefined) return outcome;
  const found = notJson === undefined ? readHere(outcome) : { ok: false as const, reason: notJson };
  if (found.ok) return { ...outcome, json: found.json };
  const { chatId, messageId, url, content } = outcome;
  throw ApplicationFailure.create({
    type: FAILURES.ReplyNotJson,
    message: `The reply is not JSON (${found.reason}); its text is in the details and in the chat. Ask for JSON in the prompt`,
    nonRetryable: true,
    details: [{ chatId, messageId, url, content } satisfies FailureDetails],
  });
}

/**
 * Workflows read no reply: the step that fetched it did. A step of a worker of 0.1 did not, and what it has left in a history is to
 * be replayed with no further step; so it is read here, until no run of 0.1 can be open or asked for any more, at 0.3.
 */
function readHere({ content, truncated }: ChatOutcome): ReplyJson {
  if (truncated) return { ok: false, reason: 'it is longer than what the worker reads into an outcome' };
  return replyJson(content);
}
