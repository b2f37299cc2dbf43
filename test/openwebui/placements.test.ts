import { Placements } from '../../src/openwebui/placements';

describe('placements', () => {
  let now = 1_000_000;
  beforeEach(() => jest.spyOn(performance, 'now').mockImplementation(() => now));
  afterEach(() => jest.restoreAllMocks());

  it('let one turn at a time into a chat, and the same one again', () => {
    const placements = new Placements();
    expect(placements.begin('chat', 'a')).toBe(true);
    expect([placements.begin('chat', 'b'), placements.begin('other', 'b'), placements.begin('chat', 'a')]).toEqual([
      false,
      true,
      true,
    ]);
    placements.end('chat', 'b');
    expect(placements.begin('chat', 'b')).toBe(false);
    placements.end('chat', 'a');
    expect(placements.begin('chat', 'b')).toBe(true);
  });

  it('forget a turn that nobody ends', () => {
    const placements = new Placements();
    placements.begin('chat', 'a');
    now += 20_000;
    placements.begin('other', 'c');
    expect(placements.begin('chat', 'b')).toBe(false);
    now += 10_000;
    expect(placements.begin('chat', 'b')).toBe(true);
    expect(placements.begin('other', 'd')).toBe(false);
  });
});
