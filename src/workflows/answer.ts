/** How a turn that stands in its chat gets its answer: the model is asked, the reply awaited, completed and read. */
import type { PlacedTurn, Reply, Triggered } from '../activities';
import { DEFAULT_MAX_GENERATIONS, type OrchestrateChatInput } from '../contract';
import { aboutTurn, replyBudgetMs, triggering, waiting } from './activityOptions';
import { mayBeUnderWay, mayExistForMs } from './earlierRuns';
import { notesOf } from './failures';
import type { Progress } from './progress';
import { ProviderPatience } from './providerPatience';

/** What is known of a turn so far; the place of its answer changes when the model is asked again. */
export interface Asked {
  turn: PlacedTurn;
  /** When it was put into the chat; workflow time in ms since the epoch, as all times here. */
  placedAt: number;
  triggered?: Triggered | undefined;
  /** When that was told. */
  triggeredAt?: number;
  /** The generation for which a place is being made. */
  placing?: number | undefined;
}

export interface Answer {
  reply: Reply;
  /** When the last trigger was accepted, and when the reply was read. */
  triggeredAt: number;
  repliedAt: number;
}

/**
 * Asks, and asks again: where a generation is known to be dead as often as is allowed, where the model's provider has passing
 * trouble as long as is allowed.
 */
export async function answerTo(
  input: OrchestrateChatInput,
  turnKey: string,
  asked: Asked,
  progress: Progress,
): Promise<Answer> {
  let generation = asked.turn.generation ?? 1;
  if (asked.turn.spent === true) {
    const reason = 'the run was started anew';
    if (await placeForAnother(input, turnKey, asked, generation + 1, reason)) generation++;
  }
  const patience = new ProviderPatience(input, progress);
  let last = generation + (input.maxGenerations ?? DEFAULT_MAX_GENERATIONS) - 1;
  for (;;) {
    try {
      if (asked.triggered === undefined) {
        asked.triggered = await trigger(input, asked.turn);
        asked.triggeredAt = Date.now();
        progress.triggered();
      }
      const triggeredAt = asked.triggeredAt ?? Date.now();
      const reply = await replyTo(input, asked.turn, { ...asked.triggered, triggeredAt }, progress);
      return { reply, triggeredAt, repliedAt: Date.now() };
    } catch (error) {
      const waited = await patience.wait(error);
      const reason = waited ? "the model's provider could not answer" : reasonToAskAgain(error, input, asked.triggered);
      const verdictRow = notesOf(error).dead?.row;
      if (reason === undefined || (!waited && generation >= last)) {
        progress.dead(verdictRow);
        throw error;
      }
      if (!(await placeForAnother(input, turnKey, asked, generation + 1, reason, verdictRow))) continue;
      generation++;
      if (waited) last++;
      progress.dead(verdictRow);
      progress.replaced(asked.turn);
    }
  }
}

/** Why the model is to be asked once more; undefined where it is not. */
function reasonToAskAgain(
  error: unknown,
  input: OrchestrateChatInput,
  triggered: Triggered | undefined,
): string | undefined {
  const { dead } = notesOf(error);
  if (dead === undefined) return undefined;
  if (dead.row !== undefined) return `${dead.evidence} (row ${dead.row})`;
  // As workers of the version before tell it, which may know of no evidence. Whoever starts a run once more wants an answer in place of the one that it lost.
  if (input.redrive !== undefined && triggered?.byEarlierRun === true)
    return dead.evidence ?? 'the run was started anew';
  return dead.evidence ?? (input.regenerateUnexplained === true ? 'nothing says why' : undefined);
}

/** @returns false where the generation turned out not to be dead: it is awaited further */
async function placeForAnother(
  input: OrchestrateChatInput,
  turnKey: string,
  asked: Asked,
  generation: number,
  reason: string,
  verdictRow?: number,
): Promise<boolean> {
  const { turn, triggered } = asked;
  const taskId = triggered?.taskId;
  const summary = `Put the lost reply away (${reason}) and make a place for another`;
  asked.placing = generation;
  const { alive, ...place } = await aboutTurn(turn).regenerate.executeWithOptions({ summary }, [
    {
      turn,
      turnKey,
      generation,
      reason: `This reply was lost: ${reason}. Another one was asked for.`,
      ...budgetOf(input),
      ...(taskId === undefined ? {} : { taskId }),
      ...(turn.spent === true ? { evenStopped: true } : {}),
      ...(verdictRow === undefined ? {} : { verdictRow }),
    },
  ]);
  asked.placing = undefined;
  if (alive === true) return false;
  asked.turn = { ...turn, ...place, spent: false };
  asked.triggered = undefined;
  return true;
}

async function trigger(input: OrchestrateChatInput, turn: PlacedTurn): Promise<Triggered> {
  const summary = `Ask ${turn.model}`;
  const wanted = turn.unwritten === 'turn' ? input : withoutConversation(input);
  const mayExist = mayExistForMs(input) !== undefined;
  return triggering(turn).triggerCompletion.executeWithOptions({ summary }, [
    { input: wanted, turn, mayExist, ...(mayBeUnderWay(input) ? { mayBeUnderWay: true } : {}) },
  ]);
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

async function replyTo(
  input: OrchestrateChatInput,
  turn: PlacedTurn,
  { taskId, triggeredAt }: Triggered,
  progress: Progress,
): Promise<Reply> {
  const now = Date.now();
  const leftMs = Math.max(0, replyBudgetMs(input) - (now - triggeredAt));
  const { digest, ...reply } = await waiting(turn).awaitReply.executeWithOptions({ summary: 'Wait for the reply' }, [
    {
      turn,
      // The instant is for workers of the release before, which count from it.
      triggeredAt: now,
      replyBudgetMs: leftMs,
      ...(taskId === undefined ? {} : { taskId }),
      ...formatOf(input),
    },
  ]);
  if (!turn.needsCompletion) return reply;
  progress.enter('completing');
  const { changed } = await aboutTurn(turn).completeMessage.executeWithOptions({ summary: 'Run the outlet filters' }, [
    {
      turn,
      characters: reply.characters,
      ...(digest === undefined ? {} : { digest }),
      ...budgetOf(input),
      ...(input.session_id === undefined ? {} : { sessionId: input.session_id }),
      ...(input.filter_ids === undefined ? {} : { filterIds: input.filter_ids }),
    },
  ]);
  if (!changed) return reply;
  progress.enter('fetching');
  return aboutTurn(turn).fetchReply.executeWithOptions({ summary: 'Read the filtered reply' }, [
    { turn, ...budgetOf(input), ...formatOf(input) },
  ]);
}

function formatOf({ replyFormat }: OrchestrateChatInput): Pick<OrchestrateChatInput, 'replyFormat'> {
  return replyFormat === undefined ? {} : { replyFormat };
}

function budgetOf({ serverBudgetMs }: OrchestrateChatInput): { serverBudgetMs?: number } {
  return serverBudgetMs === undefined ? {} : { serverBudgetMs };
}
