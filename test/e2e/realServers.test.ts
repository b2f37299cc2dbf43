import { readModelLog } from '../../dev/model';
import { realOpenWebUI, realServers, realVersions } from '../support/real';

describe.each(realVersions())('the Open WebUI %s that the tests share', (version) => {
  it('is of that release, and asks the scripted model', async () => {
    const { url, token } = realOpenWebUI(version);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    expect(await (await fetch(`${url}/api/version`)).json()).toMatchObject({ version });
    const prompt = `Hello from ${version} [reply=pong]`;
    const body = JSON.stringify({ model: 'model-a', messages: [{ role: 'user', content: prompt }] });
    const response = await fetch(`${url}/api/chat/completions`, { method: 'POST', headers, body });
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'pong' } }] });
    const log = await readModelLog(realServers().model.url);
    expect(log.filter((request) => request.prompt === prompt)).toHaveLength(1);
  });
});
