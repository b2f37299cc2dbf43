/**
 * What a server can do, in the few respects in which releases differ and tolerant reading does not help. Found out with
 * requests that have no effect, because version numbers of forks, nightly images and proxies lie; the number decides only
 * where a probe is blocked.
 */
import { NOBODY, type OpenWebUIClient } from './client';
import { NotOpenWebUIError, ResponseTooLargeError, ServerError } from './errors';

export interface Capabilities {
  /** What `/api/config` says. */
  version: string;
  /**
   * Who writes the messages of a turn: `placeholder`: we, and the request carries the context; `parent`: we, and the trigger
   * must name the user message again; `turn`: the server, from the trigger's `user_message`.
   */
  turnProtocol: 'placeholder' | 'parent' | 'turn';
  /** Within `parent`: the whole user message must go along as `parent_message` (older servers would hand it to the provider). */
  parentMessage: boolean;
  /** When the server sets `done: true`: never; on success and stop; also on error. */
  doneMark: 'none' | 'success' | 'always';
  /** A finished message triggered again: the new text is appended to the old, or 409. */
  retrigger: 'appends' | 'refused';
  /** What a POST of `history` does: replaces it; merges by id; merges and guards unfinished messages. */
  historyWrite: 'replace' | 'merge' | 'guarded';
  /** A triggered message carries `meta.task_id`. */
  taskIdOnMessage: boolean;
  /** The trigger's answer comes at once, or only when the model has begun. */
  triggerAnswers: 'at once' | 'when the model begins';
  /** How a running reply is stopped: task by task, or the whole chat. */
  stopRoute: 'task' | 'chat';
  /** Who runs outlet filters after a reply. */
  outletFilters: 'client' | 'server';
  /** How one request tells of many chats in flight. */
  watch: 'activeInList' | 'activeChats' | 'allTasks';
  /** Whether uploaded files are processed in the background. */
  fileProcessing: 'sync' | 'async';
  /** Where the files of a knowledge collection are listed. */
  knowledgeFiles: 'inline' | 'paged';
}

/** Oldest release that this product was tested with. */
export const OLDEST_SUPPORTED = '0.6.15';
/** Newest release that this product was tested with. */
export const NEWEST_KNOWN = '0.12.4';

/** A request without effect, and the first release that answers it as its own endpoint. */
interface Probe {
  since: string;
  /** First release that does not answer it any more. */
  until?: string;
  method: 'GET' | 'POST';
  path: string;
  body?: unknown;
}

const PROBES = {
  processStatus: { since: '0.6.23', method: 'GET', path: `/api/v1/files/${NOBODY}/process/status` },
  userStatus: { since: '0.6.41', method: 'GET', path: '/api/v1/users/user/status' },
  knowledgeFiles: { since: '0.6.42', method: 'GET', path: `/api/v1/knowledge/${NOBODY}/files` },
  activeChats: {
    since: '0.8.0',
    until: '0.11.0',
    method: 'POST',
    path: '/api/v1/tasks/active/chats',
    body: { chat_ids: [NOBODY] },
  },
  ready: { since: '0.8.11', method: 'GET', path: '/ready' },
  chatStop: { since: '0.9.0', method: 'POST', path: `/api/tasks/chat/${NOBODY}/stop` },
  archivedCount: { since: '0.10.0', method: 'GET', path: '/api/v1/chats/archived/count' },
  userVariables: { since: '0.11.0', method: 'GET', path: '/api/v1/users/user/variables' },
  allModels: { since: '0.11.4', method: 'GET', path: '/api/v1/models/all' },
  mfaStatus: { since: '0.12.0', method: 'GET', path: '/api/v1/auths/mfa/status' },
} as const satisfies Record<string, Probe>;

/** Which probes the server answered as its own endpoints. */
export type ProbeAnswers = Record<keyof typeof PROBES, boolean>;

/** Whether a version says which release it is. Images of the main branch and forks may say `dev`, and 0.0.0 stands for "unknown". */
function isNumbered(version: string): boolean {
  return /^v?\d+\.\d+/.test(version) && compareReleases(version, '0.0.0') > 0;
}

/** Compares dotted release numbers; a `v` before them and suffixes such as `-dev` do not count. */
export function compareReleases(a: string, b: string): number {
  const parts = (text: string): number[] =>
    text
      .replace(/^v/, '')
      .split(/[.+-]/)
      .slice(0, 3)
      .map((part) => Number.parseInt(part, 10) || 0);
  const [left, right] = [parts(a), parts(b)];
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** What the probes would answer on an unmodified server of this release. */
export function probeAnswersOf(version: string): ProbeAnswers {
  // What is no release is built from the newest code.
  if (!isNumbered(version)) return probeAnswersOf(NEWEST_KNOWN);
  const answer = ({ since, until }: Probe): boolean =>
    compareReleases(version, since) >= 0 && (until === undefined || compareReleases(version, until) < 0);
  return Object.fromEntries(Object.entries(PROBES).map(([name, probe]) => [name, answer(probe)])) as ProbeAnswers;
}

/** Pure: the capabilities that follow from the answers. */
export function capabilitiesFrom(version: string, has: ProbeAnswers): Capabilities {
  return {
    version,
    turnProtocol: has.chatStop ? 'turn' : has.userStatus ? 'parent' : 'placeholder',
    parentMessage: has.knowledgeFiles,
    doneMark: has.allModels ? 'always' : has.ready ? 'success' : 'none',
    retrigger: has.mfaStatus ? 'refused' : 'appends',
    historyWrite: has.mfaStatus ? 'guarded' : has.archivedCount ? 'merge' : 'replace',
    taskIdOnMessage: has.mfaStatus,
    triggerAnswers: has.processStatus ? 'at once' : 'when the model begins',
    stopRoute: has.chatStop ? 'chat' : 'task',
    outletFilters: has.chatStop ? 'server' : 'client',
    watch: has.userVariables ? 'activeInList' : has.activeChats ? 'activeChats' : 'allTasks',
    fileProcessing: has.processStatus ? 'async' : 'sync',
    knowledgeFiles: has.knowledgeFiles ? 'paged' : 'inline',
  };
}

/**
 * Asks the server. A probe that is refused (an API key limited to some endpoints) is answered by the release number instead.
 * @throws AuthenticationError, NetworkError … when the server as such cannot be used; NotOpenWebUIError when it is none
 */
export async function findCapabilities(client: OpenWebUIClient, signal?: AbortSignal): Promise<Capabilities> {
  const { version } = await client.serverConfig(signal);
  const expected = probeAnswersOf(version);
  const names = Object.keys(PROBES) as Array<keyof typeof PROBES>;
  const answers = await Promise.all(
    names.map(async (name) => [name, await ask(client, PROBES[name], expected[name], signal)] as const),
  );
  return capabilitiesFrom(version, Object.fromEntries(answers) as ProbeAnswers);
}

async function ask(client: OpenWebUIClient, probe: Probe, expected: boolean, signal?: AbortSignal): Promise<boolean> {
  try {
    const status = await client.probe(probe.method, probe.path, probe.body, signal);
    if (status === 405) return false;
    return saysNothing(status) ? expected : true;
  } catch (error) {
    // The page that unknown paths answer with; with another status it is a proxy's.
    if (error instanceof NotOpenWebUIError) return error.context.status === 200 ? false : expected;
    // It is there, but what it says cannot be read.
    if (error instanceof ResponseTooLargeError || error instanceof ServerError) return expected;
    throw error;
  }
}

/** Barred, too many requests, or failed on the way: an answer about the request, not about the endpoint. */
function saysNothing(status: number): boolean {
  return status === 403 || status === 429 || status >= 500;
}

/** What is wrong with a release, if anything. */
export interface ReleaseVerdict {
  verdict: 'fine' | 'warn' | 'refuse';
  reason?: string;
}

const KNOWN_TRAPS: Array<{ since: string; before: string; reason: string }> = [
  {
    since: '0.6.15',
    before: '0.6.19',
    reason: 'it does not check who owns a chat at a completion; upgrade to 0.6.23 or later where several people use it',
  },
  {
    since: '0.6.19',
    before: '0.6.22',
    reason:
      "it replaces every provider's error by its own, so causes of failed replies are lost; upgrade to 0.6.23 or later",
  },
  {
    since: '0.10.0',
    before: '0.10.3',
    reason:
      'it stores replies outside the message text, so its own search finds none of them; upgrade to 0.11 or later',
  },
];

/** Whether a release can be served, and what to say about it. */
export function judgeRelease(version: string): ReleaseVerdict {
  if (!isNumbered(version)) {
    const reason = `Open WebUI "${version}" does not say which release it is; it is served by what it answers, which was tested with releases only`;
    return { verdict: 'warn', reason };
  }
  if (compareReleases(version, OLDEST_SUPPORTED) < 0) {
    const reason = `Open WebUI ${version} is older than ${OLDEST_SUPPORTED}, the oldest release that can be served; upgrade it`;
    return { verdict: 'refuse', reason };
  }
  if (compareReleases(version, NEWEST_KNOWN) > 0) {
    const reason = `Open WebUI ${version} is newer than ${NEWEST_KNOWN}, the newest release known here; it is taken to behave alike`;
    return { verdict: 'warn', reason };
  }
  const trap = KNOWN_TRAPS.find(
    ({ since, before }) => compareReleases(version, since) >= 0 && compareReleases(version, before) < 0,
  );
  return trap === undefined
    ? { verdict: 'fine' }
    : { verdict: 'warn', reason: `Open WebUI ${version}: ${trap.reason}` };
}
