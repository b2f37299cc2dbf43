import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startWorkerProcess } from '../../dev/workerProcess';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'worker-process-test-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('a worker process that does not start', () => {
  it('is an error with what the worker said, which names no file that is soon gone', async () => {
    const starting = startWorkerProcess({ environment: {}, logFile: join(directory, 'worker.log') });
    const error: Error = await starting.then(
      () => Promise.reject(new Error('It started.')),
      (reason: Error) => reason,
    );
    expect(error.message).toMatch(/^The worker ended \(exit code 1\) before it was ready\. Its last lines:\n/);
    expect(error.message).toContain('set OPENWEBUI_URL');
    expect(error.message).not.toContain(directory);
  });
});
