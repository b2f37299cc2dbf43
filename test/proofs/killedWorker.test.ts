import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startWorkerProcess } from '../../dev/workerProcess';
import { Orchestrator } from '../../src/client';
import { connectClient } from '../../src/temporal';
import { OpenWebUIUser, askedOfModel, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';
import { newNamespace, temporalEnvironment } from '../support/worker';

describe.each(realVersions())('a worker at a real Open WebUI %s', (version) => {
  it('that is killed before the model begins is replaced, and the model is asked once', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'killed-worker-'));
    const user = await OpenWebUIUser.make(realOpenWebUI(version), 'Eve');
    const temporal = temporalEnvironment(await newNamespace());
    const connection = { OPENWEBUI_URL: user.url, OPENWEBUI_API_KEY: user.token };
    const environment = { ...temporal, ...connection, ORCHESTRATOR_STATE_DIRECTORY: directory };
    const target = await connectClient(temporal);
    const first = await startWorkerProcess({ environment, logFile: join(directory, 'first.log') });
    let second: typeof first | undefined;
    try {
      const word = mark();
      const asked = async () => (await askedOfModel(word)).generations;
      // Long enough for another worker to take over; an old server shows nothing of the trigger in that time.
      const prompt = `${word} [first=40000]`;
      const run = await new Orchestrator(target.client).startChat({ prompt, model: 'model-a' });
      while ((await asked()).length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
      await first.kill();
      second = await startWorkerProcess({ environment, logFile: join(directory, 'second.log') });
      const outcome = await run.result();
      expect((await asked()).map(({ text, state }) => [text, state])).toEqual([[outcome.content, 'finished']]);
      expect((await user.chats(word)).map(({ id }) => id)).toEqual([outcome.chatId]);
    } finally {
      await Promise.all([first.kill(), second?.kill()]);
      await target.connection.close();
      rmSync(directory, { recursive: true });
    }
  });
});
