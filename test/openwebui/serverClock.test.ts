import { ServerClock } from '../../src/openwebui/serverClock';

const NOW = 1_800_000_000;
const HOUR = 3_600;
const SLACK = 5;

let clock: ServerClock;
/** How long all this has gone on, in seconds. */
let passed: number;
beforeEach(() => {
  passed = 0;
  const from = performance.now();
  jest.spyOn(performance, 'now').mockImplementation(() => from + passed * 1000);
  // The clock of the worker says what it likes.
  jest.spyOn(Date, 'now').mockReturnValue(0);
  clock = new ServerClock();
});
afterEach(() => jest.restoreAllMocks());

const chat = (createdAt: number, updatedAt = createdAt) => ({ created_at: createdAt, updated_at: updatedAt });

/**
 * What is known, in seconds by a clock that is right: the `Date` of the last answer, when chats were made for us just now, and what was
 * seen. And what follows: where a look begins for what was made a minute ago at the most, and how old at least that is which was
 * written half an hour ago by the clock of the server.
 */
const CASES: Array<[string, { date?: number; made?: number[]; seen?: Array<[number, number?]> }, number, number]> = [
  ['nothing', {}, 0, 0],
  ['a chat that was made', { made: [NOW] }, NOW - 60, 1_800],
  ['a chat that was made, and the Date', { date: NOW, made: [NOW] }, NOW - 60, 1_800],
  ['what was seen of a moment ago', { date: NOW, seen: [[NOW - 500, NOW - 2]] }, NOW - 62, 1_798],
  ['what was seen of long ago', { date: NOW, seen: [[NOW - 90 * HOUR]] }, NOW - 2 * HOUR - 60, 0],
  ['nothing but what was seen', { seen: [[NOW - 2]] }, NOW - 62, 1_798],
  ['a clock an hour behind the Date', { date: NOW + HOUR, made: [NOW] }, NOW - 60, 1_800],
  [
    'a clock an hour behind the Date, of which little was seen',
    { date: NOW + HOUR, seen: [[NOW - 9]] },
    NOW - 69,
    1_791,
  ],
  ['a clock an hour ahead of the Date', { date: NOW - HOUR, made: [NOW] }, NOW - HOUR - 60, 1_800],
  [
    'a clock an hour ahead of the Date, of which little was seen',
    { date: NOW - HOUR, seen: [[NOW]] },
    NOW - HOUR - 60,
    0,
  ],
  ['processes an hour apart', { date: NOW, made: [NOW, NOW - HOUR, NOW] }, NOW - HOUR - 60, 0],
  [
    'processes an hour apart, of which one made what the other wrote',
    { date: NOW, seen: [[NOW, NOW - HOUR], [NOW]] },
    NOW - HOUR - 60,
    0,
  ],
  [
    'a chat that somebody imported',
    { date: NOW, made: [NOW], seen: [[NOW + 90 * HOUR, NOW - 90 * HOUR]] },
    NOW - 60,
    1_800,
  ],
  ['a chat of the future that somebody imported', { date: NOW, seen: [[NOW + 90 * HOUR]] }, NOW - 60, 1_800],
];

describe('the clock of Open WebUI', () => {
  it.each(CASES)('is known well enough by %s', (_, { date, made = [], seen = [] }, start, age) => {
    clock.noteDate(date === undefined ? undefined : date * 1000);
    for (const at of made) clock.noteMade(chat(at));
    for (const times of seen) clock.noteSeen(chat(...times));
    expect(clock.startOf(60_000)).toBe(start === 0 ? 0 : start - SLACK);
    expect(clock.ageAtLeast(NOW - 1_800)).toBe(age * 1000);
  });

  it('goes on, as the time of this process does', () => {
    clock.noteMade(chat(NOW));
    passed = 600;
    expect(clock.startOf(0)).toBe(NOW + 600 - SLACK);
    expect(clock.ageAtLeast(NOW)).toBe(600_000);
    clock.noteDate((NOW + 600) * 1000);
    passed = 700;
    expect(clock.startOf(0)).toBe(NOW + 700 - SLACK);
  });

  it('is learnt anew after an hour, since it may have been set', () => {
    clock.noteMade(chat(NOW));
    clock.noteSeen(chat(NOW, NOW - HOUR));
    passed = HOUR;
    // It was set back by two hours.
    clock.noteSeen(chat(NOW - HOUR));
    expect(clock.ageAtLeast(NOW - HOUR - 60)).toBe(60_000);
    expect(clock.startOf(0)).toBe(NOW - HOUR - SLACK);
  });

  it('is never behind what was written already: nothing is of the future', () => {
    clock.noteMade(chat(NOW));
    expect(clock.ageAtLeast(NOW + 60)).toBe(0);
  });
});
