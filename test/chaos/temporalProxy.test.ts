import { createServer, connect, type Http2Server, type IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { TemporalProxy } from './temporalProxy';

const SERVICE = '/temporal.api.workflowservice.v1.WorkflowService';

let server: Http2Server;
let served: string[];
let proxy: TemporalProxy;
beforeEach(async () => {
  served = [];
  server = createServer();
  server.on('stream', (stream, headers) => {
    const path = String(headers[':path']);
    stream.on('error', () => undefined).resume();
    stream.on('end', () => {
      served.push(path.split('/').at(-1) ?? '');
      if (path.endsWith('Refuse')) return stream.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true });
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end('answer');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy = await TemporalProxy.start(`127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterEach(async () => {
  await proxy.close();
  server.close();
});

async function call(method: string, body = 'request') {
  const session = connect(`http://${proxy.address}`);
  session.on('error', () => undefined);
  const stream = session.request({
    ':method': 'POST',
    ':path': `${SERVICE}/${method}`,
    'content-type': 'application/grpc',
  });
  const result: { status?: unknown; trailer?: unknown; text: string; broken: boolean } = { text: '', broken: false };
  stream.on('response', (headers) => {
    result.status = headers[':status'];
    result.trailer = headers['grpc-status'];
  });
  stream.on('trailers', (headers: IncomingHttpHeaders) => (result.trailer = headers['grpc-status']));
  stream.on('data', (data: Buffer) => (result.text += data.toString()));
  stream.on('error', () => (result.broken = true));
  stream.end(body);
  await new Promise<void>((resolve) => {
    stream.on('close', resolve);
    session.on('close', resolve);
  });
  session.destroy();
  return result;
}

describe('the proxy before Temporal', () => {
  it('passes calls on, with their trailers', async () => {
    expect(await call('Poll')).toEqual({ status: 200, trailer: '0', text: 'answer', broken: false });
    expect(await call('Refuse')).toMatchObject({ trailer: '5', text: '' });
  });

  it('tells of a call before Temporal has it, and drops it', async () => {
    const point = proxy.arm({ method: 'Respond', when: 'before', meanwhile: async () => true });
    expect(await call('Respond')).toMatchObject({ text: '' });
    expect([served, point.fired]).toEqual([[], true]);
    expect(await call('Respond')).toMatchObject({ text: 'answer' });
  });

  it('tells of a call after Temporal has it, and drops its answer', async () => {
    proxy.arm({ method: 'Respond', when: 'after', meanwhile: async () => true });
    expect(await call('Respond')).toMatchObject({ text: '' });
    expect(served).toEqual(['Respond']);
  });

  it('counts the calls that hold a text', async () => {
    const point = proxy.arm({
      method: 'Poll',
      holding: 'queue-b',
      nth: 2,
      when: 'before',
      meanwhile: async () => false,
    });
    for (const [queue, fired] of [
      ['queue-b', false],
      ['queue-a', false],
      ['queue-b', true],
    ] as const) {
      expect(await call('Poll', queue)).toMatchObject({ text: 'answer' });
      expect(point.fired).toBe(fired);
    }
  });

  it('does not count answers to polls that bring no task', async () => {
    const point = proxy.arm({ method: 'Poll', withTask: true, when: 'after', meanwhile: async () => true });
    expect(await call('Poll')).toMatchObject({ text: 'answer' });
    expect(point.fired).toBe(false);
  });

  it('cannot be reached for a time', async () => {
    await proxy.close();
    expect(await call('Poll')).toMatchObject({ text: '' });
    await proxy.open();
    expect(await call('Poll')).toMatchObject({ text: 'answer' });
  });
});
