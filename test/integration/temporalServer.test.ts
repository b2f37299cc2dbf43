import { startTemporal, type TemporalServer } from '../../dev/temporal';
import { connectClient, type ClientTarget } from '../../src/temporal';

let server: TemporalServer;
let target: ClientTarget;
beforeAll(async () => {
  server = await startTemporal();
  target = await connectClient({ TEMPORAL_ADDRESS: server.address, XDG_CONFIG_HOME: '/nowhere' });
});
afterAll(async () => {
  await target?.connection.close();
  await server?.stop();
});

describe('the dev server', () => {
  it('shows its Web UI', async () => {
    const answer = await fetch(`${server.webUrl}/api/v1/namespaces/default`);
    expect(await answer.json()).toMatchObject({ namespaceInfo: { name: 'default' } });
  });

  it('keeps its runs when it is killed and started again', async () => {
    const handle = await target.client.workflow.start('anything', { taskQueue: 'nobody', workflowId: 'kept' });
    const before = server.pid;
    await server.kill();
    await server.restart();
    expect(server.pid).not.toBe(before);
    expect(await handle.describe()).toMatchObject({ runId: handle.firstExecutionRunId, status: { name: 'RUNNING' } });
  });
});
