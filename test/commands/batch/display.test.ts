import { LineDisplay } from '../../../src/commands/batch/display';

describe('progress in lines', () => {
  let lines: string[];
  beforeEach(() => {
    lines = [];
    jest.useFakeTimers();
    jest.spyOn(process.stderr, 'write').mockImplementation((text) => lines.push(String(text).trimEnd()) > 0);
  });
  afterEach(() => {
    jest.restoreAllMocks();
    jest.useRealTimers();
  });

  it('says nothing of what is counted in less than a second', () => {
    const display = new LineDisplay();
    display.count('writing', 8, 12);
    jest.advanceTimersByTime(900);
    display.count('writing', 12, 12);
    expect(lines).toEqual([]);
  });

  it('counts what takes longer now and then, and to its end', () => {
    const display = new LineDisplay();
    for (let rows = 1; rows <= 12; rows++) {
      display.count('writing', rows, 12);
      jest.advanceTimersByTime(1_000);
    }
    expect(lines).toEqual(['writing: 2 of 12 rows', 'writing: 7 of 12 rows', 'writing: 12 of 12 rows']);
  });

  it('begins anew with other work', () => {
    const display = new LineDisplay();
    display.count('uploading', 1);
    jest.advanceTimersByTime(2_000);
    display.count('uploading', 2);
    display.count('writing', 1);
    expect(lines).toEqual(['uploading: 2 rows']);
  });
});
