/** What one turn of a conversation is: put into the chat, answered, and whatever the end, settled. */
import { CancellationScope, log } from '@temporalio/workflow';
import type { PlacedTurn, Reply, Settled, SettleTurnInput } from '../activities';
import type { ChatOutcome, DuplicateChat, OrchestrateChatInput, Timings } from '../contract';
import { aboutTurn, placing } from './activityOptions';
import { answerTo, type Answer, type Asked } from './answer';
import { actingForMs, isRowOfBatch, mayBeUnderWay, mayExistForMs } from './earlierRuns';
import { closingReason, failureTypeOf, notesOf, runFailure, wasCancelled } from './failures';
import type { Progress } from './progress';

/** With what the step that read the reply says of its JSON. */
export type TurnOutcome = ChatOutcome & Pick<Reply, 'notJson'>;

/** A turn's outcome, before what the caller wants made of its text. */
export async function runTurn(input: OrchestrateChatInput, turnKey: string, progress: Progress): Promise<TurnOutcome> {
  const startedAt = Date.now();
  const turn = await placed(input, turnKey, progress);
  progress.placed(turn);
  const placedAt = Date.now();
  const createMs = placedAt - startedAt;
  const asked: Asked = { turn, placedAt };
  const answer = await answered(input, turnKey, asked, progress);
  const duplicateChats = await withoutTwins(input, turnKey, asked);
  const [triggerMs, replyMs] = [answer.triggeredAt - startedAt, answer.repliedAt - startedAt];
  const timings = { createMs, triggerMs, replyMs, totalMs: Date.now() - startedAt };
  return outcomeOf(asked.turn, answer, progress, timings, duplicateChats);
}

/** The answer; without one, nothing of the turn is left open. */
async function answered(
  input: OrchestrateChatInput,
  turnKey: string,
  asked: Asked,
  progress: Progress,
): Promise<Answer> {
  try {
    return await answerTo(input, turnKey, asked, progress);
  } catch (error) {
    await CancellationScope.nonCancellable(async () => {
      await close(input, turnKey, asked, closingReason(progress.overdue ?? error), progress);
      progress.duplicated(await withoutTwins(input, turnKey, asked));
    });
    throw error;
  }
}

/** The turn in its chat; where that fails, nothing of it is left open. */
async function placed(input: OrchestrateChatInput, turnKey: string, progress: Progress): Promise<PlacedTurn> {
  try {
    return await putIntoChat(input, turnKey);
  } catch (error) {
    const notes = notesOf(error);
    progress.searchableIf(notes.searchAttributes);
    // A step that was cancelled, or whose last attempt was lost, does not say how far it came.
    if (wasCancelled(error) || notes.written === true) {
      const settled = await settle(input, turnKey, { reason: closingReason(progress.overdue ?? error) });
      const { place, searchAttributes } = settled;
      progress.duplicated(settled.duplicateChats);
      progress.searchableIf(searchAttributes);
      if (place !== undefined) progress.found(place);
    }
    throw error;
  }
}

async function putIntoChat(input: OrchestrateChatInput, turnKey: string): Promise<PlacedTurn> {
  const activities = placing();
  const forMs = mayExistForMs(input);
  const knownChatId = input.redrive?.chatId;
  const toPlace = {
    input,
    turnKey,
    // The instant is for workers of the release before.
    ...(forMs === undefined ? {} : { mayExistForMs: forMs, mayExistSince: Date.now() - forMs }),
    ...(mayBeUnderWay(input) ? { mayBeUnderWay: true } : {}),
    ...(knownChatId === undefined ? {} : { knownChatId }),
    // The batch was prepared with it; a run before this one has used it.
    ...(isRowOfBatch() || knownChatId !== undefined ? { modelSeen: true as const } : {}),
  };
  // A caller's `null` is refused where the input is validated.
  if (input.chat == null) {
    const summary = 'Create the chat with the question and an empty answer';
    return activities.createChat.executeWithOptions({ summary }, [toPlace]);
  }
  const summary = `Append the question to chat ${input.chat.id}`;
  return activities.appendTurn.executeWithOptions({ summary }, [toPlace]);
}

/** A chat that was asked for more than once may have come into being more than once: the other ones go, as far as they can. */
async function withoutTwins(
  input: OrchestrateChatInput,
  turnKey: string,
  { turn, placedAt }: Asked,
): Promise<DuplicateChat[]> {
  if (turn.createRetried !== true) return [];
  const { chatId: keep, askedInVain, askedInVainAt } = turn;
  // A worker of the release before tells an instant, and wants one.
  const inVain = askedInVain === true || askedInVainAt !== undefined;
  const since = inVain ? { askedInVainForMs: Date.now() - placedAt, askedInVainAt: placedAt } : {};
  return (await settle(input, turnKey, { keep, reason: '', ...since })).duplicateChats;
}

async function settle(
  input: OrchestrateChatInput,
  turnKey: string,
  about: Pick<SettleTurnInput, 'keep' | 'askedInVainForMs' | 'askedInVainAt' | 'reason'>,
): Promise<Pick<Settled, 'place' | 'duplicateChats'> & Partial<Settled>> {
  const forMs = actingForMs(input);
  try {
    return await CancellationScope.nonCancellable(() =>
      placing().settleTurn.executeWithOptions({ summary: 'Look for what was left behind' }, [
        // The instant is for workers of the release before.
        { input, turnKey, mayExistForMs: forMs, sinceMs: Date.now() - forMs, ...about },
      ]),
    );
  } catch (error) {
    const { keep: chatId } = about;
    log.warn('It is not known whether a chat was left behind', { chatId, ...whyOf(error) });
    return { duplicateChats: [] };
  }
}

/** Whatever the end, no message is left that the page shows as still being written, and no model goes on for nobody. */
async function close(
  input: OrchestrateChatInput,
  turnKey: string,
  { turn, triggered, placing: generation }: Asked,
  reason: string,
  progress: Progress,
): Promise<void> {
  const { serverBudgetMs } = input;
  const taskId = triggered?.taskId;
  const closing = {
    turn,
    reason,
    ...(serverBudgetMs === undefined ? {} : { serverBudgetMs }),
    ...(taskId === undefined ? {} : { taskId }),
    ...(generation === undefined ? {} : { next: { turnKey, generation } }),
  };
  try {
    const summary = 'Stop and close the unfinished message';
    const { stoppedOthers } = await aboutTurn(turn).closeMessage.executeWithOptions({ summary }, [closing]);
    if (stoppedOthers === true) progress.stoppedOthers();
  } catch (error) {
    // The run's own failure says more than that of the tidying.
    log.warn('The unfinished message could not be closed', { chatId: turn.chatId, ...whyOf(error) });
  }
}

/** For the log. */
function whyOf(error: unknown): { failureType: string | undefined; reason: string } {
  return { failureType: failureTypeOf(runFailure(error, {})), reason: closingReason(error) };
}

function outcomeOf(
  turn: PlacedTurn,
  { reply }: Answer,
  progress: Progress,
  timings: Timings,
  duplicateChats: DuplicateChat[],
): TurnOutcome {
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
    ...(progress.status.verdictRow === undefined ? {} : { verdictRow: progress.status.verdictRow }),
    ...(duplicateChats.length === 0 ? {} : { duplicateChats }),
    timings,
  };
}
