import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chooseModel } from '../../dev/chooseModel';
import { givenOpenWebUI } from '../../dev/givenOpenWebUI';
import { openWebUIEnvironment } from '../../dev/openWebUIEnvironment';
import { silentProgress } from '../../dev/progress';
import { givenTemporal } from '../../dev/temporal';

/** Answers like an Open WebUI, or, under `/other`, like any web site. */
let server: Server;
let origin: string;
beforeAll(async () => {
  server = createServer((request, response) => {
    const json = (value: object, status = 200) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (request.url === '/api/version') return json({ version: '0.12.4' });
    if (request.url === '/api/v1/auths/signin') return json({ id: '1', name: 'Bob', role: 'user', token: 'a.b.c' });
    if (request.headers.authorization === 'Bearer sk-right') return json({ data: [] });
    if (request.headers.authorization) return json({ detail: '401 Unauthorized' }, 401);
    return response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

describe('an Open WebUI that is given', () => {
  it('is none if OPENWEBUI_URL is not set', async () => {
    expect(await givenOpenWebUI({})).toBeUndefined();
  });

  it('is used with an API key, without knowing whose it is', async () => {
    const given = await givenOpenWebUI({ OPENWEBUI_URL: `${origin}/`, OPENWEBUI_API_KEY: 'sk-right' });
    expect(given).toMatchObject({ url: origin, version: '0.12.4', token: 'sk-right', userName: undefined });
  });

  it('is used with e-mail address and password', async () => {
    const credential = { OPENWEBUI_EMAIL: 'bob@example.com', OPENWEBUI_PASSWORD: 'secret' };
    const given = await givenOpenWebUI({ OPENWEBUI_URL: origin, ...credential });
    expect(given).toMatchObject({ token: 'a.b.c', userName: 'Bob', email: 'bob@example.com', password: 'secret' });
  });

  it.each([
    ['has no credential', {}, /set OPENWEBUI_API_KEY too/],
    ['has a wrong key', { OPENWEBUI_API_KEY: 'sk-wrong' }, /answered 401/],
    ['is another web site', { OPENWEBUI_URL: '/other' }, /OPENWEBUI_URL names .*Is it an Open WebUI\?/],
  ])('that %s is an error that says so', async (_, changes: Record<string, string>, message) => {
    const { OPENWEBUI_URL: path = '', ...credential } = changes;
    await expect(givenOpenWebUI({ OPENWEBUI_URL: origin + path, ...credential })).rejects.toThrow(message);
  });
});

describe('a Temporal that is given', () => {
  it('is none if TEMPORAL_ADDRESS is not set', async () => {
    expect(await givenTemporal({})).toBeUndefined();
  });
});

describe('a model that is given', () => {
  const before = { ...process.env };
  afterEach(() => {
    process.env = { ...before };
  });

  it('is used as it is', async () => {
    process.env.OPENAI_API_BASE_URL = 'https://models.example.com/v1';
    process.env.OPENAI_API_KEY = 'key';
    expect(await chooseModel()).toMatchObject({ kind: 'given', url: 'https://models.example.com/v1', key: 'key' });
  });

  it('without a key is an error that says so', async () => {
    process.env.OPENAI_API_BASE_URL = 'https://models.example.com/v1';
    delete process.env.OPENAI_API_KEY;
    await expect(chooseModel()).rejects.toThrow('set OPENAI_API_KEY too');
  });

  it('gives way to the scripted one where that is asked for', async () => {
    process.env.OPENAI_API_BASE_URL = 'https://models.example.com/v1';
    process.env.OPENAI_API_KEY = 'key';
    const model = await chooseModel({ scripted: true });
    expect(model.kind).toBe('scripted');
    await model.stop();
  });
});

describe('a release of Open WebUI', () => {
  it.each(['latest', '../0.12.4', '0.12', ''])(
    'that is called "%s" is refused before anything is fetched',
    async (name) => {
      await expect(openWebUIEnvironment(name, silentProgress)).rejects.toThrow(/is not a release of Open WebUI/);
    },
  );
});
