import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commonOf, parameter } from '../../../src/commands/batch/rowOptions';
import {
  batchKey,
  failuresAllowed,
  maxFailures,
  startSentence,
  startTime,
} from '../../../src/commands/batch/runOptions';
import { wholeNumber } from '../../../src/commands/options';

describe('--max-failures', () => {
  it.each([
    ['0', 1000, 0],
    ['20', 1000, 20],
    ['5%', 1000, 50],
    ['2.5%', 1000, 25],
    ['1%', 150, 1],
    ['100%', 7, 7],
  ])('%s of %d rows is %d', (text, rows, allowed) => expect(failuresAllowed(maxFailures(text), rows)).toBe(allowed));

  it.each(['', 'x', '-1', '1.5', '101%', '5 %', '%'])('does not take "%s"', (text) =>
    expect(() => maxFailures(text)).toThrow('such as 5%'),
  );
});

describe('--start-at', () => {
  it('is a date and time, with a zone or in this machine’s', () => {
    expect(startTime('2026-12-24T02:00:00Z')).toBe(Date.UTC(2026, 11, 24, 2));
    expect(startTime('2026-12-24T02:00:00+02:00')).toBe(Date.UTC(2026, 11, 24, 0));
    expect(startTime('2026-12-24T02:00')).toBe(new Date(2026, 11, 24, 2).getTime());
  });

  it.each(['', 'tomorrow', '2026-12-24', '02:00', '2026-13-24T02:00:00Z', '2026-02-30T02:00Z', '2027-02-29T02:00'])(
    'does not take "%s"',
    (text) => expect(() => startTime(text)).toThrow('such as 2026-12-24T02:00:00Z'),
  );
});

describe('when a batch begins', () => {
  const time = Date.UTC(2026, 11, 24, 2);

  it('is told in UTC, whatever zone it was given in', () => {
    expect(startSentence(time, time - 1)).toBe(
      'It begins at 2026-12-24T02:00:00.000Z (UTC), unless it was started before',
    );
    expect(startSentence(undefined, time)).toBeUndefined();
  });

  it('is told to be at once where the time is past', () => {
    expect(startSentence(time, time + 1)).toBe(
      '--start-at 2026-12-24T02:00:00.000Z is past: the batch begins at once, unless it was started before',
    );
  });
});

describe('--key', () => {
  it('is any text that is not blank', () => expect(batchKey('the night’s')).toBe('the night’s'));

  it.each(['', ' ', 'x'.repeat(121), 'a:b', 'a-page-1', 'a-retry-2', 'a-prepare', 'a-prepare-0123456789'])(
    'is not "%s"',
    (text) => expect(() => batchKey(text)).toThrow("A batch's key has"),
  );
});

describe('--param', () => {
  it('takes a value as JSON where it is JSON, else as text, and may be given again', () => {
    const some = parameter('stop=["a=b"]', parameter('temperature=0.2'));
    expect(parameter('reasoning_effort=low', some)).toEqual({
      temperature: 0.2,
      stop: ['a=b'],
      reasoning_effort: 'low',
    });
    expect(parameter('user=')).toEqual({ user: '' });
  });

  it.each(['temperature', '=1', ''])('does not take "%s"', (text) =>
    expect(() => parameter(text)).toThrow('name=value'),
  );

  it.each([
    'temperature=abc',
    'top_p=',
    'max_tokens="5"',
    'seed=true',
    'presence_penalty=[1]',
    'frequency_penalty=0,5',
  ])('does not take "%s", as it is a number for all providers', (text) =>
    expect(() => parameter(text)).toThrow(`${text.split('=')[0]} is a number: give one, such as`),
  );

  it('takes the numbers that providers know, and none in their place', () => {
    expect(parameter('seed=-1', parameter('temperature=null'))).toEqual({ seed: -1, temperature: null });
  });
});

describe('--window', () => {
  it.each(['', '0', '1001', '1.5', '-1', '0x10', 'ten'])('does not take "%s"', (text) =>
    expect(() => wholeNumber(1, 1000)(text)).toThrow('from 1 to 1000'),
  );
  it('takes the ends', () => expect([wholeNumber(1, 1000)('1'), wholeNumber(1, 1000)('1000')]).toEqual([1, 1000]));
});

describe('what all rows have in common', () => {
  it('is what the options say, over what the file of --input says', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'run-options-'));
    const input = join(directory, 'more.json');
    writeFileSync(input, JSON.stringify({ model: 'a', knowledge: ['k'], params: { seed: 1, temperature: 1 } }));
    try {
      expect(
        await commonOf({ input, model: 'b', tag: ['x', 'y'], param: { temperature: 0 }, expectJson: true }),
      ).toEqual({
        model: 'b',
        knowledge: ['k'],
        params: { seed: 1, temperature: 0 },
        tags: ['x', 'y'],
        replyFormat: 'json',
      });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('is nothing where nothing is said', async () => expect(await commonOf({})).toEqual({}));
});
