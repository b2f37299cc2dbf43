/** A setting is missing or wrong. The message is one sentence for the operator: what, which setting, what to do. No secrets. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}
