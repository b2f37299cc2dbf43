/** A server that the contract is checked against: a stand-in or a real one. */
export interface ContractServer {
  url: string;
  release: string;
  /** The scripted model behind it. */
  modelUrl: string;
  /** The one who makes the chats. May use every model. */
  person: { email: string; password: string; name: string; token: string };
  /** Somebody else, without any right to the person's chats. */
  stranger: { token: string };
  /** An API key of an account that may have one; it is nobody's else. */
  makeApiKey(): Promise<string>;
  /** From now on replies to prompts with this word in them end with {@link FILTERED}. Returns how to undo it. */
  installOutletFilter(word: string): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

/** A server that is the test's own. */
export interface MortalServer extends ContractServer {
  /** As by SIGKILL. */
  kill(): Promise<void>;
  restart(): Promise<void>;
}

/** What the outlet filter adds. */
export const FILTERED = ' (filtered)';
