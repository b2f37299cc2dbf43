/** Ids of messages, made from what stays the same over retries and resets of a run and differs between clusters. */
import { v5 as uuidv5 } from 'uuid';

export interface TurnKey {
  /** The Temporal namespace's id: every cluster has a namespace called `default`, but no two share its id. */
  namespaceId: string;
  workflowId: string;
  /** Which turn of the workflow. */
  turnKey: string;
}

export interface TurnIds {
  userMessageId: string;
  /** The assistant message of a generation, counted from 1. */
  messageId: string;
}

/** UUIDv5 ids of a turn's messages. */
export function turnIds(key: TurnKey, generation: number): TurnIds {
  const name = (part: string): string => uuidv5(JSON.stringify([key.workflowId, key.turnKey, part]), key.namespaceId);
  return { userMessageId: name('user'), messageId: name(`assistant ${generation}`) };
}

/** The id of an earlier message that the caller handed over. */
export function earlierMessageId(key: TurnKey, index: number): string {
  return uuidv5(JSON.stringify([key.workflowId, key.turnKey, 'earlier', index]), key.namespaceId);
}
