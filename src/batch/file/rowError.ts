/** A record cannot be carried out. The message is a sentence with cause and remedy; the caller knows the line. */
export class RowError extends Error {
  constructor(
    message: string,
    /** The CSV column in which the cause lies. */
    readonly column?: string,
  ) {
    super(message);
    this.name = 'RowError';
  }
}
