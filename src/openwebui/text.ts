/** Text of foreign origin made fit to be handed on: cut to a size, and without halves of characters, which no protobuf takes. */

/** The beginning of a text, at most so many characters. */
export function cutTo(text: string, characters: number): string {
  if (text.length <= characters) return text.toWellFormed();
  const end = isHighSurrogate(text.charCodeAt(characters - 1)) ? characters - 1 : characters;
  return text.slice(0, end).toWellFormed();
}

/** The longest beginning of a text that has at most so many bytes as JSON in UTF-8, as it stands in a history. */
export function cutToBytes(text: string, limit: number): string {
  let bytes = 0;
  for (let at = 0; at < text.length;) {
    const code = text.codePointAt(at) ?? 0;
    bytes += bytesOf(code);
    if (bytes > limit) return text.slice(0, at);
    at += code > 0xffff ? 2 : 1;
  }
  return text;
}

/** Of a character as JSON. */
function bytesOf(code: number): number {
  if (code < 0x20) return '\b\t\n\f\r'.includes(String.fromCharCode(code)) ? 2 : 6;
  if (code === 0x22 || code === 0x5c) return 2;
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  if (code >= 0xd800 && code <= 0xdfff) return 6;
  return code > 0xffff ? 4 : 3;
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}
