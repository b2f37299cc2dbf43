import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { DemoFigures } from '../../dev/demoFigures';
import { realVersions } from '../support/real';

const ROOT = join(__dirname, '..', '..');

async function demo(version: string): Promise<DemoFigures> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', 'dev/demo.ts', '--json'], {
    cwd: ROOT,
    env: { ...process.env, OPENWEBUI_VERSION: version },
    maxBuffer: 16 * 1024 * 1024,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as DemoFigures;
}

describe.each(realVersions())('the demo on Open WebUI %s', (version) => {
  it('kills the worker in the middle of a reply, and there is one chat and one generation all the same', async () => {
    const figures = await demo(version);
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
