import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { temporaryDirectory } from '../../dev/temporaryDirectory';

it('is made anew each time, and removes what killed processes left behind', async () => {
  const { pid: dead } = spawnSync(process.execPath, ['--version']);
  const leftover = join(tmpdir(), `openwebui-orchestrator-test-${dead}-a1B2c3`);
  mkdirSync(leftover);
  const first = await temporaryDirectory('test');
  const second = await temporaryDirectory('test');
  expect([first, second, leftover].map((path) => existsSync(path))).toEqual([true, true, false]);
  for (const directory of [first, second]) rmSync(directory, { recursive: true });
});
