import { durationText, rateText } from '../../../src/batch/report/text';

it.each([
  [0.4, '0 ms'],
  [999.4, '999 ms'],
  [999.6, '1 s'],
  [4_230, '4.2 s'],
  [9_960, '10 s'],
  [59_400, '59 s'],
  [59_700, '1 min'],
  [61_000, '1 min 1 s'],
  [3_599_700, '1 h'],
  [3_900_000, '1 h 5 min'],
  [86_399_000, '1 d'],
  [90_000_000, '1 d 1 h'],
])('tells %d ms as %s', (ms, text) => {
  expect(durationText(ms)).toBe(text);
});

it.each([
  [0.041, '0.04'],
  [0.46, '0.5'],
  [8.46, '8.5'],
  [9.96, '10'],
  [41.4, '41'],
  [1_200, '1,200'],
])('tells a rate of %d, however slow, as %s', (perMinute, text) => {
  expect(rateText(perMinute)).toBe(text);
});
