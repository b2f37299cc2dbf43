/** What happened, in numbered plain sentences. Silent while many schedules are explored, told of the one that matters. */
import type { Timeline } from './timeline';

export type Tell = (sentence: string) => void;

export class Story {
  readonly sentences: string[] = [];
  private toldAtMs = -1;

  constructor(private readonly timeline: Timeline) {}

  readonly tell: Tell = (sentence) => {
    const { nowMs } = this.timeline;
    const seconds = Math.floor(nowMs / 1000);
    const sameTime = seconds === this.toldAtMs;
    this.toldAtMs = seconds;
    const when = sameTime ? '' : `${timeOf(seconds)} `;
    this.sentences.push(`${this.sentences.length + 1}. ${when}${capital(sentence)}`);
  };

  toString(): string {
    return this.sentences.join('\n');
  }
}

export const untold: Tell = () => undefined;

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** "(0:07)": minutes and seconds since the story began. */
function timeOf(seconds: number): string {
  return `(${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')})`;
}
