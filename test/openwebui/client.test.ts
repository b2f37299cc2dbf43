import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startStandIn } from '../../dev/standIn';
import { OpenWebUIClient } from '../../src/openwebui/client';
import { fixedToken } from '../../src/openwebui/credentials';
import { Http } from '../../src/openwebui/http';

let http: Http | undefined;
let server: Server | undefined;

function clientOf(url: string, token = 'sk-x'): OpenWebUIClient {
  http = new Http({ connection: 'default', url, credentials: fixedToken(token) });
  return new OpenWebUIClient(http);
}

/** A server whose every answer is the same. */
async function answering(status: number, body: unknown): Promise<OpenWebUIClient> {
  const made = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  server = made;
  await new Promise<void>((listening) => made.listen(0, '127.0.0.1', listening));
  return clientOf(`http://127.0.0.1:${(made.address() as AddressInfo).port}`);
}

afterEach(async () => {
  await http?.close();
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

describe('a model of the workspace', () => {
  const model = { id: 'tutor', name: 'Tutor', base_model_id: 'model-a', params: {}, meta: { capabilities: null } };

  it('is given as the server describes it', async () => {
    expect(await (await answering(200, model)).workspaceModel('tutor')).toEqual(model);
  });

  // Up to 0.6.43 with 401, later with 404.
  it.each(['0.6.15', '0.12.4'])('is not one of the provider, on %s', async (release) => {
    const standIn = await startStandIn({ release });
    try {
      expect(await clientOf(standIn.url, standIn.user.token).workspaceModel('model-a')).toBeUndefined();
    } finally {
      await standIn.stop();
    }
  });

  it("is not somebody else's, for whom 0.6.15 answers null", async () => {
    expect(await (await answering(200, null)).workspaceModel('tutor')).toBeUndefined();
  });

  it('is not taken for missing when the credential is refused', async () => {
    const client = await answering(401, { detail: '401 Unauthorized' });
    await expect(client.workspaceModel('tutor')).rejects.toMatchObject({ name: 'AuthenticationError' });
  });
});

it('gives the chats of a folder that can be read, beside one of an odd shape', async () => {
  const chat = { id: 'a', title: 'A', chat: {}, created_at: 1, updated_at: 1 };
  const client = await answering(200, [{ ...chat, id: 'odd', chat: null }, null, chat]);
  expect((await client.chatsInFolder('folder')).map(({ id }) => id)).toEqual(['a']);
});

describe('what outlet filters leave', () => {
  it.each([
    ['messages', { messages: [{ id: 'a', content: 'x' }] }, [{ id: 'a', content: 'x' }]],
    ['some that are none', { messages: [null, 'x', { id: 'a' }] }, [{ id: 'a' }]],
    ['no list of them', { messages: 'x' }, []],
    ['nothing, where a filter forgot to return it', null, []],
  ])('is %s', async (_, body, messages) => {
    expect(await (await answering(200, body)).completed({})).toEqual(messages);
  });
});
