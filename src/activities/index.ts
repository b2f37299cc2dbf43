/** The one place that wires the steps to what they need. */
import type { PrepareBatchInput } from '../batchContract';
import { appendTurn } from './appendTurn';
import { awaitReply, type AwaitReplyInput } from './awaitReply';
import { awaitServer, type AwaitServerInput } from './awaitServer';
import { closeMessage, type CloseMessageInput } from './closeMessage';
import { completeMessage, type CompleteMessageInput } from './completeMessage';
import { createChat, type PlaceTurnInput } from './createChat';
import { fetchReply, type FetchReplyInput } from './fetchReply';
import { prepareBatch } from './prepareBatch';
import { regenerate, type RegenerateInput } from './regenerate';
import { settleTurn, type SettleTurnInput } from './settleTurn';
import type { ActivityDependencies } from './step';
import { triggerCompletion, type TriggerInput } from './triggerCompletion';

export type { AwaitReplyInput } from './awaitReply';
export type { AwaitedServer, AwaitServerInput } from './awaitServer';
export type { PlacedTurn, PlaceTurnInput } from './createChat';
export type { StepNotes } from './failures';
export type { PutAway } from './putAway';
export type { Reply } from './reply';
export type { Settled, SettleTurnInput } from './settleTurn';
export type { ActivityDependencies } from './step';
export type { Triggered } from './triggerCompletion';

/** All activities; which task queue runs which is decided in the worker and in the workflows' activity options. */
export function createActivities(deps: ActivityDependencies) {
  return {
    createChat: (input: PlaceTurnInput) => createChat(deps, input),
    appendTurn: (input: PlaceTurnInput) => appendTurn(deps, input),
    triggerCompletion: (input: TriggerInput) => triggerCompletion(deps, input),
    awaitReply: (input: AwaitReplyInput) => awaitReply(deps, input),
    completeMessage: (input: CompleteMessageInput) => completeMessage(deps, input),
    fetchReply: (input: FetchReplyInput) => fetchReply(deps, input),
    closeMessage: (input: CloseMessageInput) => closeMessage(deps, input),
    regenerate: (input: RegenerateInput) => regenerate(deps, input),
    settleTurn: (input: SettleTurnInput) => settleTurn(deps, input),
    prepareBatch: (input: PrepareBatchInput) => prepareBatch(deps, input),
    awaitServer: (input: AwaitServerInput) => awaitServer(deps, input),
  };
}

export type Activities = ReturnType<typeof createActivities>;
