/** Whether a chat's messages are a proper tree. */
import type { StoredChat, StoredMessage } from './outside';

/** What is wrong with it, in plain words. */
export function treeFaults({ chat }: StoredChat): string[] {
  const { messages = {}, currentId } = chat.history ?? {};
  const faults: string[] = [];
  for (const [id, message] of Object.entries(messages)) faults.push(...linkFaults(id, message, messages));
  const roots = Object.values(messages).filter(({ parentId }) => parentId === null || parentId === undefined);
  if (roots.length !== 1) faults.push(`${roots.length} messages have no parent`);
  if (typeof currentId !== 'string' || messages[currentId] === undefined) {
    faults.push(`its current message ${currentId} does not exist`);
  }
  for (const id of Object.keys(messages)) if (isInCircle(id, messages)) faults.push(`${id} is its own ancestor`);
  return faults;
}

function linkFaults(id: string, message: StoredMessage, messages: Record<string, StoredMessage>): string[] {
  const faults: string[] = [];
  const { parentId, childrenIds = [] } = message;
  if (message.id !== id) faults.push(`message ${id} says that it is ${message.id}`);
  if (new Set(childrenIds).size !== childrenIds.length) faults.push(`${id} names a child twice`);
  for (const child of childrenIds) {
    if (messages[child]?.parentId !== id) faults.push(`${id} names ${child} as its child, which is not`);
  }
  if (parentId === null || parentId === undefined) return faults;
  const parent = messages[parentId];
  if (parent === undefined) faults.push(`the parent ${parentId} of ${id} does not exist`);
  else if (!(parent.childrenIds ?? []).includes(id)) faults.push(`${parentId} does not name its child ${id}`);
  return faults;
}

function isInCircle(id: string, messages: Record<string, StoredMessage>): boolean {
  const seen = new Set<string>();
  let at: string | null | undefined = id;
  while (at) {
    if (seen.has(at)) return true;
    seen.add(at);
    at = messages[at]?.parentId;
  }
  return false;
}
