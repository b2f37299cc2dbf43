import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { firstCommand, temporalLines } from '../../dev/firstSteps';
import type { Temporal } from '../../dev/temporal';

const temporal: Temporal = { address: '127.0.0.1:7233', namespace: 'default', webUrl: undefined, version: '', how: '' };

describe('the first command that a local stack prints', () => {
  let server: Server;
  let models: string[];
  const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  beforeAll(async () => {
    server = createServer((request, response) => {
      const data = request.headers.authorization === 'Bearer key' ? models.map((id) => ({ id })) : undefined;
      response.end(JSON.stringify({ data }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => server.close());

  it('names the first model that Open WebUI has', async () => {
    models = ['model-a', 'model-b'];
    const command = 'npm run -s starter -- chat "Hello" --model model-a --follow';
    expect(await firstCommand({ url: url(), token: 'key' })).toBe(command);
  });

  it('says where the models are told if it finds none', async () => {
    models = [];
    const command = expect.stringContaining('--model <one that "npm run -s starter -- models" lists>') as string;
    expect(await firstCommand({ url: url(), token: 'key' })).toEqual(command);
    expect(await firstCommand({ url: url(), token: 'other' })).toEqual(command);
  });
});

it('says where the temporal program is only where the stack has started it', () => {
  expect(temporalLines({ temporal })).toEqual([]);
  const own = { ...temporal, restart: async () => undefined, executable: '/cache/bin/temporal' };
  expect(temporalLines({ temporal: own })).toEqual(['temporal         /cache/bin/temporal']);
});
