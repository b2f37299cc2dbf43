/** A prompt with the values of a row put into it: `Translate {{text}} into {{lang}}`. */

/** The template names a column that is not there, or is not a template. The message is one sentence. */
export class TemplateError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TemplateError';
  }
}

const PLACE = /\{\{([^{}]*)\}\}/g;
const OPENING = '{{';
const SHOWN_CHARACTERS = 20;

export class Template {
  /** The columns that it names. */
  readonly columns: readonly string[];

  /** @throws TemplateError where no column is named, or a place is not closed */
  constructor(private readonly text: string) {
    this.columns = [...new Set([...text.matchAll(PLACE)].map(([, name]) => nameIn(name)))];
    const open = text.replace(PLACE, (place) => ' '.repeat(place.length)).indexOf(OPENING);
    if (open !== -1) {
      const near = text.slice(open, open + SHOWN_CHARACTERS);
      throw new TemplateError(`The template has a place that is not closed, "${near}": write it as {{name}}.`);
    }
    if (this.columns.length === 0) {
      throw new TemplateError('The template names no column: write at least one as {{name}}.');
    }
    if (this.columns.includes('')) {
      throw new TemplateError('The template has a place without a name: write it as {{name}}.');
    }
  }

  /** @throws TemplateError naming the first column that is absent */
  check(columns: readonly string[]): void {
    const absent = this.columns.find((column) => !columns.includes(column));
    if (absent === undefined) return;
    const remedy = `correct it, or have a column hold {{${absent}}} where that is to stay as it is`;
    throw new TemplateError(
      `The template names ${absent}, which is not there (there are ${columns.join(', ')}): ${remedy}.`,
    );
  }

  /**
   * Each value is put in once, as it is: what looks like a place in a value stays text.
   * @param values those of all columns that it names
   */
  fill(values: Readonly<Record<string, string>>): string {
    return this.text.replace(PLACE, (_place, name: string) => values[nameIn(name)] ?? '');
  }
}

function nameIn(place: string | undefined): string {
  return (place ?? '').trim();
}
