import { Recent } from '../../src/openwebui/recent';
import { now, toMs } from '../../src/clocks';

const KEPT_MS = 60_000;
let clockMs: number;

beforeEach(() => {
  clockMs = 1_000;
  jest.spyOn(performance, 'now').mockImplementation(() => clockMs);
});
afterEach(() => {
  jest.restoreAllMocks();
});

describe('what happened lately', () => {
  it('is known with its last time, for as long as it is kept', () => {
    const recent = new Recent(KEPT_MS);
    recent.add('a');
    clockMs += 10_000;
    recent.add('a');
    expect(recent.get('a')).toEqual(now());
    clockMs += KEPT_MS - 1;
    expect(toMs(recent.get('a') ?? now())).toBe(11_000);
    clockMs += 1;
    expect(recent.get('a')).toBeUndefined();
    expect(recent.get('b')).toBeUndefined();
  });

  it('is known for all that happened meanwhile, until it is cleared', () => {
    const recent = new Recent(KEPT_MS);
    for (const key of ['a', 'b', 'a', 'c']) recent.add(key);
    expect(['a', 'b', 'c'].filter((key) => recent.get(key) !== undefined)).toEqual(['a', 'b', 'c']);
    recent.clear();
    expect(['a', 'b', 'c'].filter((key) => recent.get(key) !== undefined)).toEqual([]);
  });

  it('takes bounded memory: what is old goes, and the oldest of very many', () => {
    const recent = new Recent(KEPT_MS);
    for (let i = 0; i < 10_001; i++) recent.add(`${i}`);
    expect(recent.get('0')).toBeUndefined();
    expect(recent.get('1')).toBeDefined();
    clockMs += KEPT_MS;
    recent.add('new');
    expect(recent.size).toBe(1);
  });
});
