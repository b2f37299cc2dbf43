import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startCountingProxy, type CountingProxy } from '../../dev/countingProxy';

/** Answers with what it was asked, under which name. */
let server: Server;
let proxy: CountingProxy;
let host: string;
beforeAll(async () => {
  server = createServer((request, response) => {
    response.end(`${request.method} ${request.headers.host}${request.url}`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  host = `localhost:${(server.address() as AddressInfo).port}`;
  proxy = await startCountingProxy(`http://${host}/base`);
});
afterAll(async () => {
  await proxy?.stop();
  server.close();
});

describe('a counting proxy', () => {
  it('passes requests on as they are, and to the name that its target has', async () => {
    const answer = await fetch(`${proxy.url}/base/api/config?page=1`, { method: 'DELETE' });
    expect(await answer.text()).toBe(`DELETE ${host}/base/api/config?page=1`);
    expect(proxy.calls).toEqual([{ method: 'DELETE', path: '/base/api/config' }]);
  });

  it('breaks off where its target does not answer', async () => {
    const lost = await startCountingProxy('http://127.0.0.1:1');
    await expect(fetch(lost.url)).rejects.toThrow('fetch failed');
    await lost.stop();
  });
});
