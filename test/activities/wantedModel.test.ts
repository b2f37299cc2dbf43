import type { ApplicationFailure } from '@temporalio/common';
import type { Info } from '@temporalio/activity';
import type { PlacedTurn } from '../../src/activities';
import type { Model } from '../../src/openwebui/schemas';
import { NotFoundError, NotOpenWebUIError, ResponseTooLargeError, ServerError } from '../../src/openwebui/errors';
import { Bench, asked, carried, environmentFor } from '../support/bench';
import { failureOf } from '../support/failures';
import { leapAhead } from '../support/processClock';

let bench: Bench;
let listed: jest.SpyInstance<Promise<Model[]>>;
const START = Date.now();
const MODELS = [{ id: 'model-a' }, { id: 'model-b' }];
const LIST = { connection: 'default', method: 'GET', path: '/api/models' };

/** In the test, by the process's clock. */
let passedMinutes: number;

beforeEach(async () => {
  passedMinutes = 0;
  bench = await Bench.start();
  listed = jest.spyOn(bench.connection.client, 'models').mockResolvedValue(MODELS);
});
afterEach(() => {
  jest.restoreAllMocks();
  return bench.stop();
});

/** One attempt of a step, so long after it was first scheduled. @returns how it failed, and what it has left to the next one */
async function attemptAt(minutes: number, heartbeatDetails?: unknown, { model = 'model-c', modelSeen = false } = {}) {
  const info: Partial<Info> = {
    attempt: minutes === 0 ? 1 : 2,
    scheduledTimestampMs: START,
    currentAttemptScheduledTimestampMs: START + minutes * 60_000,
    ...(heartbeatDetails === undefined ? {} : { heartbeatDetails }),
  };
  const environment = environmentFor(info);
  let left: unknown;
  environment.on('heartbeat', (details: unknown) => (left = details));
  // The list is asked for anew each time.
  leapAhead((minutes - passedMinutes) * 60_000);
  passedMinutes = minutes;
  const input = { input: asked({ model }), turnKey: '1', modelSeen };
  const failure = await failureOf(environment.run(bench.activities.createChat, input));
  return { failure, left };
}

const AWAY = {
  type: 'ModelNotFound',
  nonRetryable: false,
  category: 'BENIGN',
  nextRetryDelay: 10_000,
  details: [{ away: true }, {}],
};

describe('a model that is not listed', () => {
  it('is unknown at once where nobody has ever seen it, and the nearest names are told', async () => {
    listed.mockResolvedValue([...Array.from({ length: 9 }, (_, i) => ({ id: `other-${i}` })), { id: 'model-c2' }]);
    const { failure } = await attemptAt(0);
    expect(failure).toMatchObject({ type: 'ModelNotFound', nonRetryable: true });
    expect(failure.message).toMatch(/has no model "model-c" .*: use one of model-c2, other-0, .*\(and 5 more\)/);
  });

  it('is away where the batch was prepared with it', async () => {
    const { failure } = await attemptAt(0, undefined, { modelSeen: true });
    expect(failure).toMatchObject(AWAY);
    expect(failure.message).toMatch(/; it was there before, and is asked for every 10 s$/);
  });

  it('is away where this process has seen it within the last hour', async () => {
    await bench.connection.model('model-a');
    listed.mockResolvedValue([{ id: 'model-b' }]);
    expect((await attemptAt(2, undefined, { model: 'model-a' })).failure).toMatchObject(AWAY);
  });

  it('is away for an attempt on another worker, where an earlier one has seen it', async () => {
    const { left } = await attemptAt(0, undefined, { modelSeen: true });
    expect((await attemptAt(1, left)).failure).toMatchObject(AWAY);
  });

  it('is unknown where an earlier attempt could not read the list: nobody has seen it', async () => {
    listed.mockRejectedValueOnce(new ServerError('Open WebUI failed', { ...LIST, status: 500 }));
    jest
      .spyOn(bench.connection.client, 'createChat')
      .mockRejectedValueOnce(new ServerError('Failed', { ...LIST, status: 500 }));
    const { left } = await attemptAt(0);
    expect((await attemptAt(1, left)).failure).toMatchObject({ type: 'ModelNotFound', nonRetryable: true });
  });

  it('was removed where the list has been read without it for ten minutes', async () => {
    let last: { failure?: ApplicationFailure; left?: unknown } = {};
    for (const minutes of [0, 5, 9]) {
      last = await attemptAt(minutes, last.left, { modelSeen: true });
      expect(last.failure).toMatchObject(AWAY);
    }
    const { failure } = await attemptAt(11, last.left, { modelSeen: true });
    expect(failure).toMatchObject({ type: 'ModelNotFound', nonRetryable: true, details: [{}, {}] });
    expect(failure.message).toMatch(/; it was there before, and has not been for 10 minutes$/);
  });

  it('is away for as long as the list has no model at all', async () => {
    let { left } = await attemptAt(0, undefined, { modelSeen: true });
    listed.mockResolvedValue([]);
    ({ left } = await attemptAt(9, left, { modelSeen: true }));
    listed.mockResolvedValue(MODELS);
    expect((await attemptAt(18, left, { modelSeen: true })).failure).toMatchObject(AWAY);
  });

  it('has been away when the budget is over, so that a row waits again', async () => {
    const heartbeatDetails = { byAttempt: 1, sent: 'no', triedSinceTemporalMs: START - 31 * 60_000 };
    const { failure } = await attemptAt(1, heartbeatDetails, { modelSeen: true });
    expect(failure).toMatchObject({ type: 'ModelNotFound', nonRetryable: true, details: [{ away: true }, {}] });
  });
});

describe('a list of models that cannot be read', () => {
  it.each([
    ['is too large', new ResponseTooLargeError('The answer is larger than 9 bytes', LIST)],
    ['fails', new ServerError('Open WebUI failed', { ...LIST, status: 500 })],
    ['is not served', new NotFoundError('Not found', { ...LIST, status: 404 })],
    ['is a page of a proxy', new NotOpenWebUIError('A page', { ...LIST, status: 404 })],
    ['is cut', new ServerError('The answer is cut or is not JSON', { ...LIST, status: 200 })],
  ])('since it %s leaves the model to the trigger', async (_, error) => {
    listed.mockRejectedValue(error);
    const turn = await bench.createChat();
    expect(turn).toMatchObject({ model: 'model-a' });
    expect(await bench.run('prepareBatch', { models: { default: ['model-a', 'x'] } })).toMatchObject({
      unknownModels: [],
    });
  });

  it('since the server is away holds the run up', async () => {
    listed.mockRejectedValue(new ServerError('Open WebUI failed', { ...LIST, status: 503 }));
    expect(await failureOf(bench.createChat())).toMatchObject({ type: 'ServerUnavailable', nonRetryable: false });
  });
});

describe('a trigger that is refused for want of the model', () => {
  const refuse = (turn: PlacedTurn) => {
    bench.standIn.fault({ path: /chat\/completions$/, how: 400, detail: 'Model not found' });
    return failureOf(bench.run('triggerCompletion', { input: carried(asked()), turn, mayExist: false }));
  };

  it('is sent again: the run has seen the model', async () => {
    const turn = await bench.createChat();
    expect(await refuse(turn)).toMatchObject({ type: 'ModelNotFound', nonRetryable: false, nextRetryDelay: 10_000 });
    listed.mockResolvedValue([{ id: 'model-b' }]);
    await bench.connect();
    jest.spyOn(bench.connection.client, 'models').mockResolvedValue([{ id: 'model-b' }]);
    expect(await refuse(turn)).toMatchObject({ type: 'ModelNotFound', nonRetryable: false, details: [{ away: true }] });
  });
});
