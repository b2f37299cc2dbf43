/** Where a run is, for the `status` query, the Temporal Web UI and the search attributes. */
import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import { setCurrentDetails, upsertSearchAttributes, type ApplicationFailure } from '@temporalio/workflow';
import type { PlacedTurn, Settled } from '../activities';
import {
  DEFAULT_CONNECTION,
  SEARCH_ATTRIBUTES,
  type ChatStatus,
  type DuplicateChat,
  type OrchestrateChatInput,
  type Stage,
} from '../contract';
import { detailsOf } from './details';

const KEYS = {
  chatId: defineSearchAttributeKey(SEARCH_ATTRIBUTES.chatId, 'KEYWORD'),
  model: defineSearchAttributeKey(SEARCH_ATTRIBUTES.model, 'KEYWORD'),
  stage: defineSearchAttributeKey(SEARCH_ATTRIBUTES.stage, 'KEYWORD'),
  connection: defineSearchAttributeKey(SEARCH_ATTRIBUTES.connection, 'KEYWORD'),
  failure: defineSearchAttributeKey(SEARCH_ATTRIBUTES.failure, 'KEYWORD'),
};

export class Progress {
  private current: ChatStatus;
  private searchable = false;
  /** Why the run is stopped where its time is over: whatever its steps then fail with, it ends with this. */
  overdue: ApplicationFailure | undefined;

  constructor(input: OrchestrateChatInput) {
    const model = input.model ?? input.models?.[0];
    this.current = {
      stage: 'creating',
      connection: input.connection ?? DEFAULT_CONNECTION,
      ...(model === undefined ? {} : { model }),
      ...(input.chat == null ? {} : { chatId: input.chat.id }),
      generations: 0,
      startedAt: Date.now(),
      stageSince: Date.now(),
    };
    this.show();
  }

  get status(): ChatStatus {
    return this.current;
  }

  /** Costs no history event. */
  enter(stage: Stage): void {
    this.current = { ...this.current, stage, stageSince: Date.now() };
    delete this.current.again;
    this.show();
  }

  /** The turn is in the chat. One history event, where search attributes are registered. */
  placed(turn: PlacedTurn): void {
    const { connection, model, chatId, messageId, url } = turn;
    this.current = { ...this.current, connection, model, chatId, messageId, url };
    this.searchable = turn.searchAttributes;
    this.upsert([
      { key: KEYS.chatId, value: chatId },
      { key: KEYS.model, value: model },
      { key: KEYS.connection, value: connection },
      { key: KEYS.stage, value: 'waiting' },
    ]);
    this.enter('triggering');
  }

  /** Whether search attributes are registered, where no turn tells it. */
  searchableIf(registered: boolean | undefined): void {
    this.searchable = registered ?? this.searchable;
  }

  /** Where the turn stands, of a run that ends before it was placed properly. */
  found(place: NonNullable<Settled['place']>): void {
    this.current = { ...this.current, ...place };
    this.upsert([
      { key: KEYS.chatId, value: place.chatId },
      { key: KEYS.connection, value: this.current.connection },
    ]);
  }

  /** The model's provider has passing trouble: it is asked again at that time, in ms since the epoch. */
  pausing(at: number, reason: string): void {
    this.current = { ...this.current, again: { at, reason } };
    this.show();
  }

  /** A generation is dead. @param verdictRow unknown where an earlier version of the worker has found it */
  dead(verdictRow: number | undefined): void {
    if (verdictRow !== undefined) this.current = { ...this.current, verdictRow };
  }

  /** The model is to be asked again, for another message. */
  replaced({ messageId }: PlacedTurn): void {
    this.current = { ...this.current, messageId };
    this.enter('triggering');
  }

  /** Second chats that could not be deleted. */
  duplicated(duplicateChats: DuplicateChat[]): void {
    if (duplicateChats.length > 0) this.current = { ...this.current, duplicateChats };
  }

  /** Stopping our reply has stopped somebody else's. */
  stoppedOthers(): void {
    this.current = { ...this.current, stoppedOthers: true };
  }

  triggered(): void {
    this.current = { ...this.current, generations: this.current.generations + 1 };
    this.enter('waiting');
  }

  /** One history event, where search attributes are registered. */
  ended(stage: 'done' | 'failed' | 'cancelled', failure?: string): void {
    if (failure !== undefined) this.current = { ...this.current, failure };
    const attributes: SearchAttributePair[] = [{ key: KEYS.stage, value: stage }];
    if (failure !== undefined) attributes.push({ key: KEYS.failure, value: failure });
    this.upsert(attributes);
    this.enter(stage);
  }

  private upsert(attributes: SearchAttributePair[]): void {
    if (this.searchable) upsertSearchAttributes(attributes);
  }

  private show(): void {
    setCurrentDetails(detailsOf(this.current));
  }
}
