/**
 * What Open WebUI does in which release: each behaviour with the first release that shows it and, where it went away
 * again, the last. Releases between those that were run are taken from the source of the packages.
 */
const HOLDS = {
  // Chats
  folderOnCreate: ['0.6.16'],
  listIncludesFolders: ['0.6.31'],
  listIncludesPinned: ['0.6.34'],
  archiveLeavesFolder: ['0.6.37'],
  importsMany: ['0.6.37'],
  missingIs404: ['0.7.0'],
  messageWriteFails: ['0.7.0', '0.8.10'],
  chatHasTasks: ['0.9.0'],
  rowHasLastRead: ['0.9.0'],
  exportsLines: ['0.9.3'],
  archiveStopsTasks: ['0.9.6'],
  deleteStopsTasks: ['0.9.6'],
  historyIsMerged: ['0.10.0'],
  archivedCount: ['0.10.0'],
  lastReadIsSet: ['0.10.0'],
  rowHasSnippet: ['0.10.0'],
  chatHasVariables: ['0.11.0'],
  folderLeavesArchive: ['0.11.0'],
  childrenRepaired: ['0.11.0'],
  rowHasActive: ['0.11.0'],
  rowHasArchived: ['0.11.4'],
  authorsStamped: ['0.12.0'],
  historyIsGuarded: ['0.12.0'],
  renameDoesNotTouch: ['0.12.0'],
  shareModeRead: ['0.12.0'],

  // Trigger
  ownerChecked: ['0.6.19'],
  causeLost: ['0.6.19', '0.6.21'],
  answersAtOnce: ['0.6.23'],
  parentIdConsumed: ['0.6.41'],
  parentIdSetsParent: ['0.6.41', '0.8.12'],
  parentMessageConsumed: ['0.6.42'],
  parentMessageCompulsory: ['0.6.42', '0.6.43'],
  contextFromParent: ['0.8.2', '0.8.12'],
  writesTurn: ['0.9.0'],
  foreignIs404: ['0.9.0'],
  withoutIdDoesNothing: ['0.9.0', '0.11.4'],
  withoutChatFails: ['0.9.5', '0.9.5'],
  messageIdsList: ['0.10.0'],
  nativeToolsByDefault: ['0.10.0'],
  indexFromEntry: ['0.11.0'],
  adminChecked: ['0.12.0'],
  turnValidated: ['0.12.0'],

  // The reply
  errorWithoutJsonLost: ['0.6.22', '0.11.4'],
  cutIsError: ['0.6.23'],
  reasoningEscaped: ['0.6.41'],
  outputKept: ['0.8.0'],
  doneOnSuccess: ['0.8.11'],
  errorIsText: ['0.9.0'],
  outletInline: ['0.9.0'],
  textOnlyInOutput: ['0.10.0', '0.10.2'],
  contentFromOutput: ['0.11.0'],
  partialReads: ['0.11.1'],
  doneOnError: ['0.11.4'],
  stoppedIsIncomplete: ['0.11.4'],
  streamErrorKept: ['0.12.0'],
  taskIdOnMessage: ['0.12.0'],

  // Tasks
  unknownTaskFails: ['0.6.16', '0.6.26'],
  unknownTaskIsFalse: ['0.6.27'],
  stopTellsTruth: ['0.6.33'],
  activeChats: ['0.8.0', '0.10.2'],
  chatStop: ['0.9.0'],
  stopSkips: ['0.9.0', '0.11.3'],
  taskStopForAdmins: ['0.9.0'],
  stopFinalises: ['0.11.1'],
  stopNamesTask: ['0.12.0'],
  // With Redis, where a task's process is gone. Not so on 0.11.1; where it came is not known.
  tasksExpire: ['0.12.0'],

  // Sockets
  usageEvent: ['0.6.23'],
  errorEvent: ['0.6.26'],
  cancelEventRenamed: ['0.6.28'],
  eventsRenamed: ['0.6.33'],
  activeEvent: ['0.8.0'],
  outletEvent: ['0.9.0', '0.10.2'],
  errorCancels: ['0.9.0', '0.10.2'],
  listEvent: ['0.11.0'],
  deltaEvents: ['0.11.1'],

  // Knowledge and files
  filesAsync: ['0.6.23'],
  retrievalStatus: ['0.6.23'],
  filesHaveHash: ['0.6.41'],
  contextInPrompt: ['0.6.41'],
  filesPaged: ['0.6.42'],
  duplicateAllowed: ['0.8.0'],
  accessGrants: ['0.8.0'],
  // Seen to differ between 0.6.15 and 0.12.4; where it changed is not known.
  emptySourcesDropped: ['0.12.0'],
  filesOnChat: ['0.9.0'],
  fileHashInMeta: ['0.9.0'],
  directories: ['0.9.0'],
  fileDataHidden: ['0.10.0'],
  fileCount: ['0.11.0'],
  fileOriginal: ['0.12.0'],

  // Everything else
  foldersArePermitted: ['0.6.41'],
  foldersCreatedByPermission: ['0.10.0'],
  folderNameIsPattern: ['0.6.15', '0.10.2'],
  // Only the ends of the range were run.
  adminsRead: ['0.12.0'],
  sessionNeedsToken: ['0.12.0'],
  missingTokenIs401: ['0.6.19'],
  modelsV1: ['0.6.22'],
  tokensExpire: ['0.6.34'],
  deploymentId: ['0.6.37'],
  keysArePermitted: ['0.6.37'],
  adminsNeedKeyPermission: ['0.6.37', '0.8.10'],
  userStatus: ['0.6.41'],
  scimOnUser: ['0.8.0'],
  ready: ['0.8.11'],
  keyHeader: ['0.9.0'],
  signInLimited: ['0.12.0'],
  userVariables: ['0.11.0'],
  modelsAll: ['0.11.4'],
  noArenaModel: ['0.12.0'],
  mfaStatus: ['0.12.0'],
} as const satisfies Record<string, readonly [first: string, last?: string]>;

export type Behaviour = Record<keyof typeof HOLDS, boolean>;

export function behaviourOf(release: string): Behaviour {
  const flags: Partial<Behaviour> = {};
  for (const [name, [first, last]] of Object.entries(HOLDS) as [keyof Behaviour, readonly [string, string?]][]) {
    flags[name] = isAtLeast(release, first) && (last === undefined || isAtLeast(last, release));
  }
  return flags as Behaviour;
}

export function isAtLeast(release: string, first: string): boolean {
  const [a, b] = [release, first].map((text) => text.split('.').map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (a?.[i] ?? 0) - (b?.[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
