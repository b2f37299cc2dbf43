/** An outcome made to fit where many of them stand together: what is cut is read from the chat. */
import type { ChatOutcome, FailureDetails } from '../contract';

/** @param maxBytes as JSON in UTF-8; what an outcome has besides its texts is not cut */
export function fittedOutcome(outcome: ChatOutcome, maxBytes: number | undefined): ChatOutcome {
  if (maxBytes === undefined || bytesOf(outcome) <= maxBytes) return outcome;
  const rest = { ...outcome };
  delete rest.reasoning;
  delete rest.json;
  if (bytesOf(rest) <= maxBytes) return rest;
  if (bytesOf({ ...rest, content: '' }) > maxBytes) {
    delete rest.followUps;
    delete rest.sources;
  }
  const others = bytesOf({ ...rest, content: '', truncated: true });
  return { ...rest, content: beginning(outcome.content, maxBytes - others), truncated: true };
}

export function fittedDetails(details: FailureDetails, maxBytes: number | undefined): FailureDetails {
  const { content } = details;
  if (maxBytes === undefined || content === undefined || bytesOf(details) <= maxBytes) return details;
  return { ...details, content: beginning(content, maxBytes - bytesOf({ ...details, content: '' })) };
}

/** As much of a text as has so many bytes as JSON, cut between characters. */
function beginning(text: string, maxBytes: number): string {
  let bytes = 0;
  let length = 0;
  for (const character of text) {
    bytes += bytesOf(character) - 2;
    if (bytes > maxBytes) break;
    length += character.length;
  }
  return text.slice(0, length);
}

function bytesOf(value: unknown): number {
  const json = JSON.stringify(value);
  let bytes = json.length;
  for (let index = 0; index < json.length; index++) {
    const code = json.charCodeAt(index);
    if (code < 0x80) continue;
    // Half of a pair; the pair has four bytes.
    bytes += code < 0x800 || (code >= 0xd800 && code <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}
