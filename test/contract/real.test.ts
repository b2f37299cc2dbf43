import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { addAccount, makeApiKey, newAccount, type SignedIn } from '../../dev/openWebUIAccounts';
import { realOpenWebUI, realServers, realVersions, startReal } from '../support/real';
import { contractSuite } from './contract';
import { FILTERED, type ContractServer, type MortalServer } from './server';

describe.each(realVersions())('%s', (release) => {
  contractSuite('Open WebUI', {
    release,
    start: async () => {
      // Jest may run this in the process that started the servers; connections that ran out while it was loading the tests
      // are noticed only when it comes to rest.
      await sleep(100);
      return { ...(await subjectAt(realOpenWebUI(release))), stop: async () => {} };
    },
    startMortal: () => startMortal(release),
  });
});

async function startMortal(release: string): Promise<MortalServer> {
  const server = await startReal(release, realServers().model);
  const death = { kill: () => server.kill(), restart: () => server.restart(), stop: () => server.stop() };
  return { ...(await subjectAt(server)), ...death };
}

/** New people each time: chats, keys and sign-ins of other tests must not mix with ours. Administrators may use every model. */
async function subjectAt(server: {
  url: string;
  version: string;
  token: string;
}): Promise<Omit<ContractServer, 'stop'>> {
  const { url, version, token } = server;
  const add = (name: string, role: 'admin' | 'user'): Promise<SignedIn> =>
    addAccount(url, token, newAccount(name, `${randomUUID()}@example.com`), role);
  return {
    url,
    release: version,
    modelUrl: realServers().model.url,
    person: await add('Ada', 'admin'),
    stranger: await add('Bob', 'user'),
    makeApiKey: async () => makeApiKey(url, (await add('Eve', 'admin')).token),
    installOutletFilter: (word) => installOutletFilter(url, token, word),
  };
}

async function installOutletFilter(url: string, token: string, word: string): Promise<() => Promise<void>> {
  const id = `outlet_${word}`;
  const call = async (method: string, path: string, body: unknown = {}) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const payload = method === 'DELETE' ? {} : { body: JSON.stringify(body) };
    const response = await fetch(`${url}/api/v1/functions/${path}`, { method, headers, ...payload });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  };
  const content = `
class Filter:
    def outlet(self, body: dict) -> dict:
        if "${word}" in str([message["content"] for message in body["messages"] if message["role"] == "user"]):
            body["messages"][-1]["content"] += "${FILTERED}"
        return body
`;
  await call('POST', 'create', { id, name: id, content, meta: { description: 'A filter of the contract suite' } });
  await call('POST', `id/${id}/toggle`);
  await call('POST', `id/${id}/toggle/global`);
  return () => call('DELETE', `id/${id}/delete`);
}
