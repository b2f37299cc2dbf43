import { execFileSync } from 'node:child_process';
import { shellWord } from '../../src/batch/shellWord';

describe('a word for a shell', () => {
  it('is the text itself where that is plain', () => {
    expect(['night-1', 'a_b.c:d/e@f'].map(shellWord)).toEqual(['night-1', 'a_b.c:d/e@f']);
    expect(shellWord('the night')).toBe("'the night'");
  });

  it.each(['a b', "it's", '$HOME', '`id`', 'a"b', 'a;b', '*', '~', 'é', '', "'", '!x\\'])(
    'reads as %j again',
    (text) => {
      expect(execFileSync('sh', ['-c', `printf %s ${shellWord(text)}`], { encoding: 'utf8' })).toBe(text);
    },
  );
});
