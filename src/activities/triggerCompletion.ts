/** Step 4 of the tutorial: asks Open WebUI for the reply. An enqueue; the generation runs on in the server. */
import { activityInfo, cancellationSignal } from '@temporalio/activity';
import { parseChatInput, type ChatRequest } from '../chatInput';
import { instantOf, shownSeconds, toMs } from '../clocks';
import { DEFAULT_REPLY_BUDGET_MS, type AdmissionClass, type OrchestrateChatInput } from '../contract';
import type { Capabilities } from '../openwebui/capabilities';
import { branchTo, toCompletionMessages } from '../openwebui/chatTree';
import type { CompletionRequest } from '../openwebui/client';
import type { Connection } from '../openwebui/connection';
import { ConflictError, ModelNotFoundError, RateLimitedError, RefusedError, ServerError } from '../openwebui/errors';
import { systemPromptOf, taskIdOf } from '../openwebui/messageParts';
import type { Chat } from '../openwebui/schemas';
import { admitted } from './admitted';
import { othersFinished } from './appendTurn';
import type { PlacedTurn } from './createChat';
import { finalFailure, notYet } from './failures';
import { quietForMs, untilSettled } from './lateEffects';
import { readReply } from './reply';
import { turnStep, type ActivityDependencies, type Attempt } from './step';
import { refusedModel } from './wantedModel';

/** Pause before a chat that is not ready for the trigger is looked at again, in milliseconds. */
const PAUSE_MS = 2_000;

export interface TriggerInput {
  /** The run's input; without its prompt where the turn stands in the chat already. */
  input: OrchestrateChatInput;
  turn: Pick<
    PlacedTurn,
    'connection' | 'chatId' | 'userMessageId' | 'messageId' | 'parentId' | 'system' | 'unwritten' | 'files'
  >;
  /** An earlier run of this workflow id may have triggered: look before sending. */
  mayExist: boolean;
  /** And its request may still be under way. */
  mayBeUnderWay?: boolean;
}

export interface Triggered {
  /** The server's task; missing where the answer was lost. */
  taskId?: string;
  /** For workers of the release before, which cannot do without: by this worker's wall clock. Nothing else reads it. */
  triggeredAt: number;
  /** It was an earlier run of this workflow id that asked. */
  byEarlierRun?: true;
}

export async function triggerCompletion(deps: ActivityDependencies, trigger: TriggerInput): Promise<Triggered> {
  const origin = deps.connections.get(trigger.turn.connection)?.origin ?? '';
  return admitted(deps.admission.get(origin), classOf(trigger.input), () => triggerStep(deps, trigger));
}

function classOf({ admission = 'interactive' }: OrchestrateChatInput): AdmissionClass {
  return admission;
}

function triggerStep(
  deps: ActivityDependencies,
  { input, turn, mayExist, mayBeUnderWay }: TriggerInput,
): Promise<Triggered> {
  return turnStep(deps, turn.connection, { serverBudgetMs: input.serverBudgetMs }, async (connection, attempt) => {
    const request = parseChatInput(withPrompt(input, turn), deps.limits);
    const capabilities = await connection.capabilities(cancellationSignal());
    if (mayExist || attempt.sentBefore === 'maybe') {
      const quietMs = quietForMs({ attempt, mayBeUnderWay });
      // The last look: a trigger that takes effect after it makes a second generation, which nobody can put right.
      if (quietMs !== undefined) await untilSettled(deps, quietMs, cancellationSignal());
      const found = await alreadyTriggered(connection, turn);
      if (found !== undefined) {
        const byEarlierRun = mayExist && attempt.sentBefore === 'no';
        return watched(deps, connection, input, turn, byEarlierRun ? { ...found, byEarlierRun } : found);
      }
      if (capabilities.triggerAnswers !== 'at once') refuseWhileHeld(deps, attempt, mayBeUnderWay);
    }
    if (input.chat !== undefined) await othersFinished(connection, turn.chatId, cancellationSignal());
    const body = await requestBody(connection, capabilities, request, turn);
    return watched(deps, connection, input, turn, await send(connection, capabilities, turn, body, attempt));
  });
}

/** Validation wants a prompt; where the chat holds it, it is not carried a second time. */
function withPrompt(input: OrchestrateChatInput, { unwritten }: TriggerInput['turn']): OrchestrateChatInput {
  return unwritten === 'turn' ? input : { ...input, prompt: 'in the chat' };
}

/** Since when no attempt has sent the trigger, by an attempt that was scheduled after one that may have. */
const UNANSWERED_SINCE = 'unansweredSinceTemporalMs';

/** These servers show nothing of a trigger until the model begins, or until they give it up. */
function refuseWhileHeld(
  { patience }: ActivityDependencies,
  attempt: Attempt,
  mayBeUnderWay: boolean | undefined,
): void {
  const { sentBefore, left, leave, dueAt, msSince } = attempt;
  let heldForMs = quietForMs({ attempt: { ...attempt, sentBefore: 'no' }, mayBeUnderWay }) ?? Infinity;
  if (sentBefore === 'maybe') {
    const since = left[UNANSWERED_SINCE];
    const unanswered = typeof since === 'number' ? instantOf<'temporal'>(since) : dueAt;
    leave({ [UNANSWERED_SINCE]: toMs(unanswered) });
    heldForMs = Math.min(heldForMs, msSince(unanswered));
  }
  if (heldForMs >= patience.heldTriggerMs) return;
  throw notYet('ServerUnavailable', 'An earlier trigger may still be waiting for the model to begin', PAUSE_MS);
}

/** What an earlier attempt did: undefined if the message was never triggered. */
async function alreadyTriggered(connection: Connection, turn: TriggerInput['turn']): Promise<Triggered | undefined> {
  const { state, message } = await readReply(connection, turn, cancellationSignal());
  if (state.kind === 'untriggered' || (state.kind === 'gone' && turn.unwritten !== 'nothing')) return undefined;
  if (state.kind === 'gone') {
    throw finalFailure('ChatGone', `Message ${turn.messageId} was deleted from chat ${turn.chatId}`, {
      chatId: turn.chatId,
    });
  }
  const taskId = taskIdOf(message);
  if (state.kind === 'running' && taskId === undefined && !message?.model) {
    // A task of the chat, and nothing on our message: it may be somebody else's reply.
    throw notYet('ChatBusy', `A reply is under way in chat ${turn.chatId}, and it is not known whose`, PAUSE_MS);
  }
  // What has ended tells nobody any more: without a task the wait looks at once.
  const isAtWork = state.kind === 'running' && taskId !== undefined;
  return triggered(isAtWork ? taskId : undefined);
}

const MAY_HAVE_WRITTEN = [RefusedError, ConflictError, ServerError, RateLimitedError];

async function send(
  connection: Connection,
  { triggerAnswers }: Capabilities,
  turn: TriggerInput['turn'],
  body: CompletionRequest,
  attempt: Attempt,
): Promise<Triggered> {
  if (attempt.sentBefore === 'maybe') attempt.leave({ [UNANSWERED_SINCE]: undefined });
  connection.watcher.expect(turn.chatId, turn.messageId);
  connection.outages.begin(turn.messageId);
  try {
    // Not cancelled half-way: a generation that was asked for must become known, or nobody could stop it.
    const isHeld = triggerAnswers !== 'at once';
    const [taskId] = await attempt.sending(() => connection.client.triggerCompletion(body, { isHeld }));
    return triggered(taskId);
  } catch (error) {
    if (error instanceof ModelNotFoundError) {
      throw await refusedModel(connection, body.model, attempt, error, cancellationSignal());
    }
    // A refusal does not say whether the message was written to: releases up to 0.6.22 answer 400 for the model's own errors,
    // and 409 means that the message has a reply already.
    if (!MAY_HAVE_WRITTEN.some((kind) => error instanceof kind)) throw error;
    const found = await alreadyTriggered(connection, turn);
    if (found !== undefined) return found;
    // Up to 0.6.22 the model's own refusal is a 400 too.
    const isRefusal = triggerAnswers !== 'at once' && error instanceof RefusedError;
    throw isRefusal ? finalFailure('RequestRefused', `${error.message}: correct what the reason names`) : error;
  }
}

function triggered(taskId: string | undefined): Triggered {
  // eslint-disable-next-line no-restricted-properties -- see its comment
  return { triggeredAt: Date.now(), ...(taskId === undefined ? {} : { taskId }) };
}

/** The generation keeps its slot until it is seen ended, whoever waits for its reply. */
function watched(
  deps: ActivityDependencies,
  connection: Connection,
  input: OrchestrateChatInput,
  turn: TriggerInput['turn'],
  triggered: Triggered,
): Triggered {
  const ended = connection.generations.started({
    chatId: turn.chatId,
    messageId: turn.messageId,
    taskId: triggered.taskId,
    longestMs: input.replyBudgetMs ?? DEFAULT_REPLY_BUDGET_MS,
  });
  deps.admission.get(connection.origin)?.hold(ended, classOf(input));
  connection.placements.end(turn.chatId, turn.messageId);
  return triggered;
}

async function requestBody(
  connection: Connection,
  capabilities: Capabilities,
  request: ChatRequest,
  turn: TriggerInput['turn'],
): Promise<CompletionRequest> {
  const { workflowId } = activityInfo().workflowExecution ?? { workflowId: '' };
  const { options } = request;
  const common: CompletionRequest = {
    chat_id: turn.chatId,
    id: turn.messageId,
    session_id: request.sessionId ?? workflowId,
    model: request.model,
    stream: true,
    ...options,
    ...(turn.files.length === 0 ? {} : { files: turn.files }),
  };
  if (capabilities.turnProtocol === 'turn') {
    const user = turn.unwritten === 'turn' ? newUserMessage(request, turn) : storedUserMessage(request, turn);
    const system = request.system ?? turn.system;
    const messages = system === undefined ? {} : { messages: [{ role: 'system', content: system }] };
    return { ...common, ...messages, user_message: user };
  }
  const chat = await connection.client.chat(turn.chatId, cancellationSignal());
  const messages = contextOf(chat, turn, request);
  if (capabilities.turnProtocol === 'placeholder') return { ...common, messages };
  return {
    ...common,
    messages,
    parent_id: turn.userMessageId,
    ...(capabilities.parentMessage ? { parent_message: chat.chat.history?.messages[turn.userMessageId] } : {}),
  };
}

/** The server writes both messages from this. */
function newUserMessage(request: ChatRequest, turn: TriggerInput['turn']): Record<string, unknown> {
  return {
    ...storedUserMessage(request, turn),
    content: request.prompt,
    childrenIds: [turn.messageId],
    timestamp: shownSeconds(),
    ...(turn.files.length === 0 ? {} : { files: turn.files }),
  };
}

/** Enough for a message that is stored: these servers merge what is sent into it, and take the text from their store. */
function storedUserMessage(request: ChatRequest, turn: TriggerInput['turn']): Record<string, unknown> {
  return { id: turn.userMessageId, role: 'user', parentId: turn.parentId, models: [request.model] };
}

/** The branch that the reply answers, for servers that take it from the request. */
function contextOf(
  chat: Chat,
  turn: TriggerInput['turn'],
  { system, options }: ChatRequest,
): Array<{ role: string; content: unknown }> {
  const history = chat.chat.history;
  if (history?.messages[turn.userMessageId] === undefined) {
    throw finalFailure('ChatGone', `Message ${turn.userMessageId} was deleted from chat ${turn.chatId}`, {
      chatId: turn.chatId,
    });
  }
  const prompt = system ?? systemPromptOf(chat);
  const branch = branchTo(history, turn.userMessageId);
  return toCompletionMessages(branch, prompt === undefined ? {} : { system: withVariables(prompt, options.variables) });
}

/** Old releases put variables only into the system prompts of models; their page does it in those of chats. */
function withVariables(system: string, variables: Record<string, string> = {}): string {
  return Object.entries(variables).reduce((text, [name, value]) => text.replaceAll(name, () => value), system);
}
