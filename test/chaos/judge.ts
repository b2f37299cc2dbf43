/**
 * Says of any cell whether it is as it has to be. Knows only what can be seen from outside: the user's chats, the model's log,
 * how the run ended, and the texts that it left behind. Takes nothing from the product, so it cannot share its mistakes.
 */
import { treeFaults } from './judgeTree';
import { textOf, type StoredChat, type StoredMessage } from './outside';

/** One request that reached the model, as its log has it. */
export interface SeenGeneration {
  text: string;
  state: string;
}

/** How a run ended: `done`, `Cancelled`, `running`, or the type of its failure. */
export interface RunEnd {
  state: string;
  message?: string;
  /** Of a run that is done. */
  outcome?: { chatId: string; messageId: string; userMessageId: string; content: string; generations: number };
  /** What it says, in its outcome or in the details of its failure, that it could not keep from others. */
  told?: { duplicateChats?: Array<{ chatId: string }>; stoppedOthers?: boolean; verdictRow?: number };
}

/** A text that a run left somewhere. */
export interface LeftText {
  /** `history`, `log`, `metrics` or `failure`. */
  where: string;
  text: string;
  /** Whether what the user said may stand there. */
  mayHoldPrompt: boolean;
}

export interface Evidence {
  release: string;
  /** The word in the prompt by which everything of the run is known. */
  marker: string;
  chats: StoredChat[];
  /** Tasks that the server still lists, by chat. */
  tasks: Record<string, string[]>;
  generations: SeenGeneration[];
  end: RunEnd;
  texts: LeftText[];
  /** Credentials that must not stand anywhere. */
  secrets: string[];
}

export interface Expected {
  /** The ends of which it has to be one. */
  ends: string[];
  /** Default 1, and the duplicates. */
  chats?: number;
  /** Second chats that the run may not delete, and so has to name. Default 0. */
  duplicates?: number;
  /** Somebody else's reply had to be stopped with the run's own: the run has to say so. Default false. */
  stoppedOthers?: boolean;
  /** Generations that are known to have died, each of which allows one more. Default 0. */
  orphans?: number;
  /** How many of the generations nobody could know of, so that the outcome need not count them. Default 0. */
  unknown?: number;
  /** The fewest generations. Default 1 for a run that is done, else 0. */
  leastGenerations?: number;
  /** What a person has written into the chat meanwhile: message ids and their texts. */
  personsMessages?: Record<string, string>;
  /** The text of the question, if a person has changed it. */
  question?: string;
  /** The chat's title, if somebody has changed it. */
  title?: string;
}

export type FindingKind = 'chats' | 'messages' | 'text' | 'generations' | 'open' | 'end' | 'secret' | 'other';

export interface Finding {
  kind: FindingKind;
  /** In plain words. */
  text: string;
  /** How many, for the sums. */
  count: number;
}

export function judge(evidence: Evidence, expected: Expected): Finding[] {
  return [
    ...aboutEnd(evidence, expected),
    ...aboutTold(evidence, expected),
    ...aboutChats(evidence, expected),
    ...evidence.chats.flatMap((chat) => aboutMessages(chat, evidence, expected)),
    ...aboutText(evidence),
    ...aboutGenerations(evidence, expected),
    ...aboutOpen(evidence),
    ...aboutSecrets(evidence),
  ];
}

function finding(kind: FindingKind, text: string, count = 1): Finding {
  return { kind, text, count };
}

function aboutEnd({ end }: Evidence, { ends }: Expected): Finding[] {
  if (ends.includes(end.state)) return [];
  const why = end.message === undefined ? '' : ` (${end.message})`;
  return [finding('end', `the run is ${end.state}${why}, not ${ends.join(' or ')}`)];
}

function aboutTold({ end, chats }: Evidence, { duplicates = 0, stoppedOthers = false }: Expected): Finding[] {
  const findings: Finding[] = [];
  const { told = {}, outcome } = end;
  const named = (told.duplicateChats ?? []).map(({ chatId }) => chatId);
  const tooMany = chats.map(({ id }) => id).filter((id) => id !== outcome?.chatId);
  if (named.length !== duplicates || named.some((id) => !tooMany.includes(id))) {
    findings.push(
      finding('end', `the run names ${named.length} chats as one too many (${named.join()}), not ${duplicates}`),
    );
  }
  if ((told.stoppedOthers ?? false) !== stoppedOthers) {
    findings.push(
      finding('end', `the run ${stoppedOthers ? 'does not say' : 'says'} that it has stopped others' replies`),
    );
  }
  return findings;
}

function aboutChats({ chats }: Evidence, { duplicates = 0, chats: wanted = 1 + duplicates }: Expected): Finding[] {
  if (chats.length === wanted) return [];
  const ids = chats.map((chat) => chat.id).join(', ');
  const tooMany = Math.max(0, chats.length - wanted);
  return [finding('chats', `the user has ${chats.length} chats of it, not ${wanted} (${ids})`, tooMany)];
}

function aboutMessages(chat: StoredChat, { marker, end }: Evidence, expected: Expected): Finding[] {
  const messages = chat.chat.history?.messages ?? {};
  const persons = expected.personsMessages ?? {};
  const findings = treeFaults(chat).map((fault) => finding('messages', `chat ${chat.id}: ${fault}`, 0));
  const ours = Object.entries(messages).filter(([id]) => persons[id] === undefined);
  const asked = ours.filter(([, one]) => one.role === 'user' && String(one.content).includes(marker));
  const replies = ours.filter(([, one]) => one.role === 'assistant');
  const replyLimit = 1 + (expected.orphans ?? 0);
  if (asked.length !== 1) {
    findings.push(finding('messages', `chat ${chat.id} holds the question ${asked.length} times`, asked.length - 1));
  }
  if (replies.length > replyLimit || replies.length === 0) {
    const tooMany = Math.max(0, replies.length - replyLimit);
    findings.push(finding('messages', `chat ${chat.id} holds ${replies.length} replies, not ${replyLimit}`, tooMany));
  }
  const strangers = ours.length - asked.length - replies.length;
  if (strangers > 0) findings.push(finding('messages', `chat ${chat.id} holds ${strangers} messages of nobody`));
  for (const [id, text] of Object.entries(persons)) {
    const kept = messages[id];
    if (kept === undefined || textOf(kept) !== text) {
      findings.push(finding('messages', `chat ${chat.id} has lost what a person wrote (${id})`, 0));
    }
  }
  if (expected.question !== undefined && asked.some(([, one]) => textOf(one) !== expected.question)) {
    findings.push(finding('messages', `chat ${chat.id} has lost what a person made of the question`, 0));
  }
  if (expected.title !== undefined && chat.title !== expected.title) {
    findings.push(finding('messages', `chat ${chat.id} is called "${chat.title}", not "${expected.title}"`, 0));
  }
  const { currentId } = chat.chat.history ?? {};
  const shownReply = end.outcome?.messageId;
  if (shownReply !== undefined && Object.keys(persons).length === 0 && currentId !== shownReply) {
    findings.push(finding('messages', `chat ${chat.id} shows ${currentId}, not the reply ${shownReply}`, 0));
  }
  return findings;
}

/** Byte for byte: what the model sent, what the chat holds, what the run returned. */
function aboutText({ chats, end, generations }: Evidence): Finding[] {
  const { outcome } = end;
  if (outcome === undefined) return [];
  const message = chats.find(({ id }) => id === outcome.chatId)?.chat.history?.messages?.[outcome.messageId];
  if (message === undefined) return [finding('text', `the reply ${outcome.messageId} is in no chat of the user's`)];
  const sent = generations.filter(({ state }) => state === 'finished').map(({ text }) => text);
  const findings: Finding[] = [];
  if (!sent.includes(textOf(message))) {
    findings.push(
      finding(
        'text',
        `the chat holds ${quoted(textOf(message))}, the model sent ${sent.map(quoted).join(', ') || 'none whole'}`,
      ),
    );
  }
  if (outcome.content !== textOf(message)) {
    findings.push(
      finding('text', `the run returned ${quoted(outcome.content)}, the chat holds ${quoted(textOf(message))}`),
    );
  }
  if (message.parentId !== outcome.userMessageId) {
    findings.push(finding('messages', `the reply ${outcome.messageId} does not answer the question`, 0));
  }
  return findings;
}

function aboutGenerations({ generations, end }: Evidence, expected: Expected): Finding[] {
  const { orphans = 0, unknown = 0 } = expected;
  const least = expected.leastGenerations ?? (end.state === 'done' ? 1 : 0);
  const findings: Finding[] = [];
  const tooMany = generations.length - 1 - orphans;
  if (tooMany > 0 || generations.length < least) {
    const states = generations.map(({ state }) => state).join(', ');
    const text = `the model was asked ${generations.length} times (${states}), not ${least} to ${1 + orphans} times`;
    findings.push(finding('generations', text, Math.max(0, tooMany)));
  }
  const told = end.outcome?.generations;
  if (told !== undefined && (told < generations.length - unknown || (told > generations.length && orphans === 0))) {
    const text = `the outcome counts ${told} generations, the model's log ${generations.length}`;
    findings.push(finding('generations', text, tooMany > 0 ? 0 : Math.max(0, generations.length - told)));
  }
  return findings;
}

function aboutOpen({ chats, release, tasks, generations }: Evidence): Finding[] {
  const findings: Finding[] = [];
  for (const { id: chatId, chat } of chats) {
    for (const [id, message] of Object.entries(chat.history?.messages ?? {})) {
      if (message.role === 'assistant' && !isClosed(message, release)) {
        findings.push(finding('open', `message ${id} in chat ${chatId} looks as if it were still being written`));
      }
    }
    const left = tasks[chatId] ?? [];
    if (left.length > 0) findings.push(finding('open', `chat ${chatId} still has ${left.length} tasks at work`, 0));
  }
  const writing = generations.filter(({ state }) => state === 'sending' || state === 'stalled');
  if (writing.length > 0) findings.push(finding('open', `the model still writes ${writing.length} replies`, 0));
  return findings;
}

/** From 0.8.11 on servers mark the end with `done`; pages of older ones go by text and error. An error is an end everywhere. */
function isClosed(message: StoredMessage, release: string): boolean {
  const hasError = message.error !== undefined && message.error !== null && message.error !== false;
  if (hasError) return true;
  return isAtLeast(release, [0, 8, 11]) ? message.done === true : textOf(message) !== '';
}

function aboutSecrets({ texts, secrets, marker }: Evidence): Finding[] {
  return texts.flatMap(({ where, text, mayHoldPrompt }) => {
    const findings = secrets
      .filter((secret) => text.includes(secret))
      .map((secret) => finding('secret', `a credential (${secret.slice(0, 4)}…) stands in the ${where}`));
    if (!mayHoldPrompt && text.includes(marker)) findings.push(finding('secret', `the prompt stands in the ${where}`));
    return findings;
  });
}

function isAtLeast(release: string, [major, minor, patch]: [number, number, number]): boolean {
  const [a = 0, b = 0, c = 0] = release.split('.').map(Number);
  return a !== major ? a > major : b !== minor ? b > minor : c >= patch;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 60)}… (${text.length} characters)` : text);
}
