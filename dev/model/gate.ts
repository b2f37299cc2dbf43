/** Where held replies wait until somebody lets them go on. */
export class Gate {
  readonly #waiting = new Set<() => void>();

  /** Settles when the gate opens or `gone` is aborted. */
  wait(gone: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const pass = () => {
        this.#waiting.delete(pass);
        resolve();
      };
      this.#waiting.add(pass);
      gone.addEventListener('abort', pass, { once: true });
    });
  }

  open(): void {
    for (const pass of this.#waiting) pass();
  }
}
