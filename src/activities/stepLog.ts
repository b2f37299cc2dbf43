/** The chat of a step as a field of every line that is logged about it, the SDK's own lines too. */
import type { ActivityInterceptors } from '@temporalio/worker';

/** What the steps are given tells their chat in one of these ways, or not yet. */
interface StepInput {
  turn?: { chatId?: string };
  knownChatId?: string;
  input?: { chat?: { id?: string } | null };
}

export function stepLog(): ActivityInterceptors {
  let chatId: string | undefined;
  return {
    inbound: {
      execute(input, next) {
        const [given] = input.args as [StepInput?];
        chatId = given?.turn?.chatId ?? given?.knownChatId ?? given?.input?.chat?.id;
        return next(input);
      },
    },
    outbound: { getLogAttributes: (fields, next) => next({ ...fields, ...(chatId === undefined ? {} : { chatId }) }) },
  };
}
