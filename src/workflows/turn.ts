/** What one turn of a conversation is: put into the chat, triggered, awaited, completed, read. */
import { CancellationScope, log, workflowInfo } from '@temporalio/workflow';
import type { PlacedTurn, Reply, Triggered } from '../activities';
import type { ChatOutcome, OrchestrateChatInput, Timings } from '../contract';
import { aboutTurn, placing, replyBudgetMs, triggering, waiting } from './activityOptions';
import { closingReason } from './failures';
import type { Progress } from './progress';

interface Asked {
  turn: PlacedTurn;
  triggered?: Triggered;
}

/** A turn's outcome, before what the caller wants made of its text. */
export async function runTurn(input: OrchestrateChatInput, turnKey: string, progress: Progress): Promise<ChatOutcome> {
  const startedAt = Date.now();
  const { runId, originalExecutionRunId, firstExecutionRunId } = workflowInfo();
  // After a reset or a retry this workflow id has acted before.
  const mayExist = runId !== originalExecutionRunId || runId !== firstExecutionRunId;
  const turn = await place(input, turnKey, mayExist);
  progress.placed(turn);
  const createMs = Date.now() - startedAt;
  const asked: Asked = { turn };
  try {
    const triggered = await trigger(input, turn, mayExist);
    asked.triggered = triggered;
    progress.triggered();
    const triggerMs = Date.now() - startedAt;
    const reply = await replyTo(input, asked, progress);
    const replyMs = Date.now() - startedAt;
    return outcomeOf(turn, reply, progress, { createMs, triggerMs, replyMs, totalMs: Date.now() - startedAt });
  } catch (error) {
    await close(input, asked, closingReason(error));
    throw error;
  }
}

async function place(input: OrchestrateChatInput, turnKey: string, mayExist: boolean): Promise<PlacedTurn> {
  const activities = placing();
  // A caller's `null` is refused where the input is validated.
  if (input.chat == null) {
    const summary = 'Create the chat with the question and an empty answer';
    return activities.createChat.executeWithOptions({ summary }, [{ input, turnKey, mayExist }]);
  }
  const summary = `Append the question to chat ${input.chat.id}`;
  return activities.appendTurn.executeWithOptions({ summary }, [{ input, turnKey, mayExist }]);
}

async function trigger(input: OrchestrateChatInput, turn: PlacedTurn, mayExist: boolean): Promise<Triggered> {
  const summary = `Ask ${turn.model}`;
  const wanted = turn.writtenByTrigger ? input : withoutConversation(input);
  return triggering(turn).triggerCompletion.executeWithOptions({ summary }, [{ input: wanted, turn, mayExist }]);
}

/** The chat holds the conversation; it is not carried through history again. */
function withoutConversation(input: OrchestrateChatInput): OrchestrateChatInput {
  const options = { ...input };
  delete options.prompt;
  delete options.messages;
  const system =
    input.system ??
    input.messages
      ?.filter((message) => message.role === 'system')
      .map((message) => message.content)
      .join('\n\n');
  return system === undefined || system === '' ? options : { ...options, system };
}

async function replyTo(input: OrchestrateChatInput, { turn, triggered }: Asked, progress: Progress): Promise<Reply> {
  const reply = await waiting(turn).awaitReply.executeWithOptions({ summary: 'Wait for the reply' }, [
    {
      turn,
      triggeredAt: triggered?.triggeredAt ?? Date.now(),
      replyBudgetMs: replyBudgetMs(input),
      ...(triggered?.taskId === undefined ? {} : { taskId: triggered.taskId }),
    },
  ]);
  if (!turn.needsCompletion) return reply;
  progress.enter('completing');
  const { changed } = await aboutTurn(turn).completeMessage.executeWithOptions({ summary: 'Run the outlet filters' }, [
    {
      turn,
      characters: reply.characters,
      ...budgetOf(input),
      ...(input.session_id === undefined ? {} : { sessionId: input.session_id }),
      ...(input.filter_ids === undefined ? {} : { filterIds: input.filter_ids }),
    },
  ]);
  if (!changed) return reply;
  progress.enter('fetching');
  return aboutTurn(turn).fetchReply.executeWithOptions({ summary: 'Read the filtered reply' }, [
    { turn, ...budgetOf(input) },
  ]);
}

/** Whatever the end, no message is left that the page shows as still being written, and no model goes on for nobody. */
async function close(input: OrchestrateChatInput, { turn, triggered }: Asked, reason: string): Promise<void> {
  const taskId = triggered?.taskId;
  try {
    await CancellationScope.nonCancellable(() =>
      aboutTurn(turn).closeMessage.executeWithOptions({ summary: 'Stop and close the unfinished message' }, [
        { turn, reason, ...budgetOf(input), ...(taskId === undefined ? {} : { taskId }) },
      ]),
    );
  } catch (error) {
    // The run's own failure says more than that of the tidying.
    log.warn('The unfinished message could not be closed', { chatId: turn.chatId, error: String(error) });
  }
}

function budgetOf({ serverBudgetMs }: OrchestrateChatInput): { serverBudgetMs?: number } {
  return serverBudgetMs === undefined ? {} : { serverBudgetMs };
}

function outcomeOf(turn: PlacedTurn, reply: Reply, progress: Progress, timings: Timings): ChatOutcome {
  return {
    connection: turn.connection,
    chatId: turn.chatId,
    userMessageId: turn.userMessageId,
    messageId: turn.messageId,
    url: turn.url,
    model: turn.model,
    ...reply,
    ...(turn.unusableFiles.length === 0 ? {} : { unusableFiles: turn.unusableFiles }),
    generations: progress.status.generations,
    timings,
  };
}
