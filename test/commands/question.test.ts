import { PassThrough } from 'node:stream';
import { isConfirmed } from '../../src/commands/question';

/** What comes of an answer; of none, the input ends. */
async function confirmed(answer?: string): Promise<boolean> {
  const input = new PassThrough();
  const asked = isConfirmed('Go on? [Y/n] ', 'Nothing was sent.', { input, output: new PassThrough() });
  input.end(answer);
  return asked;
}

describe('a question', () => {
  it.each(['\n', 'y\n', ' Yes \n', 'YES\r\n'])('is confirmed by %j', async (answer) => {
    expect(await confirmed(answer)).toBe(true);
  });

  it.each(['n\n', 'no\n', 'q\n', 'yn\n', '\x1b\n'])('is declined by %j', async (answer) => {
    expect(await confirmed(answer)).toBe(false);
  });

  it('is declined by the end of the input', async () => expect(await confirmed()).toBe(false));
});
