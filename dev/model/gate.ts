/** Where held replies wait until somebody lets them go on. */
export class Gate {
  readonly #waiting = new Map<() => void, string>();

  /** Settles when the gate opens for this prompt or `gone` is aborted. */
  wait(prompt: string, gone: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const pass = () => {
        this.#waiting.delete(pass);
        resolve();
      };
      this.#waiting.set(pass, prompt);
      gone.addEventListener('abort', pass, { once: true });
    });
  }

  /** For the replies to prompts with this text in them. */
  open(text: string): void {
    for (const [pass, prompt] of this.#waiting) if (prompt.includes(text)) pass();
  }
}
