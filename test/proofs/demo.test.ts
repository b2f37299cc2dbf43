import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { DemoFigures } from '../../dev/demoFigures';
import { OpenWebUIUser } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';

const ROOT = join(__dirname, '..', '..');

/** Its standard output. @throws Error where the exit code is not 0 */
async function demo(flags: string[], environment: Record<string, string>): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', 'dev/demo.ts', ...flags], {
    cwd: ROOT,
    env: { ...process.env, ...environment },
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout;
}

describe.each(realVersions())('the demo on Open WebUI %s', (version) => {
  it('kills the worker in the middle of a reply, and there is one chat and one generation all the same', async () => {
    const stdout = await demo(['--json'], { OPENWEBUI_VERSION: version });
    const figures = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as DemoFigures;
    expect(figures).toMatchObject({
      openWebUIVersion: version,
      chats: 1,
      generations: 1,
      workerKills: 1,
      workerIdentities: 2,
    });
    expect(figures.reply).toHaveLength(figures.replyChars);
    expect(figures.replyCharsAtKill).toBeGreaterThan(0);
    expect(figures.replyCharsAtKill).toBeLessThan(figures.replyChars);
    expect(figures.historyEvents).toBeLessThanOrEqual(40);
    expect(figures.chatUrl).toContain(figures.chatId);
    expect(figures.workflowUrl).toContain(figures.runId);
  }, 300_000);
});

describe('the demo in an Open WebUI that is given', () => {
  it('holds the conversation there, and says what it cannot see', async () => {
    const user = await OpenWebUIUser.make(realOpenWebUI(realVersions()[0] ?? ''), 'Dan');
    const stdout = await demo(['--prompt', 'Why? [pace=55] [length=800]'], {
      OPENWEBUI_URL: user.url,
      OPENWEBUI_API_KEY: user.token,
    });
    const [, chatId] = new RegExp(`${user.url}/c/(\\S+)`).exec(stdout) ?? [];
    const { chat } = await user.chat(chatId ?? '');
    const reply = chat.history?.messages[chat.history.currentId ?? ''];
    expect(reply).toMatchObject({ role: 'assistant', done: true });
    expect(stdout).toMatch(/^workers +2, of which 1 was killed .* cannot be seen from here$/m);
    expect(stdout).toMatch(/^generations +1, says the worker/m);
  }, 300_000);
});
