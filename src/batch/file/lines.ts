/** A text's lines, whether they end with LF, CR LF or CR. */

export interface Line {
  /** Counted from 1. */
  number: number;
  /** Characters of it. */
  length: number;
  /** Undefined where it is too long. */
  text?: string;
}

const LINE_BREAK = /\r\n|\r|\n/;

/** @param longest longer ones are counted, not gathered: a file without line breaks must not fill the memory */
export async function* linesOf(pieces: AsyncIterable<string>, longest: number): AsyncGenerator<Line> {
  let line: Line = { number: 1, length: 0, text: '' };
  let afterReturn = false;
  for await (const piece of pieces) {
    if (piece === '') continue;
    // The line break in whose middle the last piece ended has been counted.
    const parts = (afterReturn && piece.startsWith('\n') ? piece.slice(1) : piece).split(LINE_BREAK);
    afterReturn = piece.endsWith('\r');
    const last = parts.pop() ?? '';
    for (const part of parts) {
      yield longer(line, part, longest);
      line = { number: line.number + 1, length: 0, text: '' };
    }
    line = longer(line, last, longest);
  }
  if (line.length > 0) yield line;
}

function longer({ number, length, text }: Line, part: string, longest: number): Line {
  const grown = length + part.length;
  return { number, length: grown, ...(text === undefined || grown > longest ? {} : { text: text + part }) };
}
