/** What needs no quotes in any shell; a key that begins with "-" would be taken for an option, quoted or not. */
const PLAIN = /^[\w.,:@%+/-]+$/;

/** A text as one word of a command that people are to copy: in quotes where a shell would take it for more. */
export function shellWord(text: string): string {
  return PLAIN.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
