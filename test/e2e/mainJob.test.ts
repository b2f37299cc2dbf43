import { startTestWorker, type TestWorker } from '../support/worker';
import { OpenWebUIUser, askedOfModel, mark } from '../support/openWebUIUser';
import { realOpenWebUI, realVersions } from '../support/real';

describe.each(realVersions())('a question to a real Open WebUI %s', (version) => {
  let user: OpenWebUIUser;
  let worker: TestWorker;
  beforeAll(async () => {
    let t = Date.now();
    user = await OpenWebUIUser.make(realOpenWebUI(version), 'Eve');
    console.log('user', Date.now() - t); t = Date.now();
    worker = await startTestWorker({ default: user.connection });
    console.log('worker', Date.now() - t);
  }, 60_000);
  afterAll(() => worker?.stop());
  it('is answered', async () => {
    const word = mark();
    const t = Date.now();
    const run = await worker.orchestrator.startChat({ prompt: `Say it ${word}`, model: 'model-a' });
    const outcome = await run.result();
    console.log(Date.now() - t, outcome, worker.log());
    console.log(JSON.stringify(await user.chat(outcome.chatId), null, 1), await askedOfModel(word));
    const { events } = await run.handle.fetchHistory();
    console.log(events?.length);
  });
});
