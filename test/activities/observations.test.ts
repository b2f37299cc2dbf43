import { instantOf } from '../../src/clocks';
import { Observations, type ObservedConnection } from '../../src/activities/observations';
import type { ReplyReading } from '../../src/activities/reply';
import type { Observation } from '../../src/openwebui/deadReply';
import type { OutagesSince } from '../../src/openwebui/outages';

let nowMs: number;
let seen: OutagesSince;
let livedMs: number | undefined;

beforeEach(() => {
  nowMs = 100_000;
  livedMs = undefined;
  seen = { gone: 0, broke: false, listFailed: false };
  jest.spyOn(performance, 'now').mockImplementation(() => nowMs);
});
afterEach(() => jest.restoreAllMocks());

const connection: ObservedConnection = {
  outages: { since: () => () => seen, showedLife: () => (seen = { ...seen, gone: 0 }) },
  watcher: {
    hears: () => undefined,
    lived: () => (livedMs === undefined ? undefined : instantOf<'process'>(livedMs)),
    shows: () => undefined,
  },
  taskList: 'unknown',
};

function waiting(left: Readonly<Record<string, unknown>> = {}): Observations {
  const turn = { connection: 'team', chatId: 'c', messageId: 'm' };
  return new Observations(connection, { turn, taskId: 'task', triggeredAt: 0, replyBudgetMs: 1_800_000 }, left);
}

function reading(taskIds: string[], content: string): ReplyReading {
  const chat = { id: 'c', chat: {}, created_at: 0, updated_at: 0 };
  return { state: { kind: 'lost' }, taskIds, message: { role: 'assistant', content }, chat };
}

describe('what one wait observes of its generation', () => {
  it('is no silence before the first reading, when nobody could see it', () => {
    const observations = waiting();
    nowMs += 46_000;
    expect(observations.observe(reading(['task'], 'Long written'), false)).toMatchObject<Partial<Observation>>({
      begun: true,
      silentForMs: 0,
    });
    nowMs += 15_000;
    expect(observations.observe(reading(['task'], 'Long written'), false).silentForMs).toBe(15_000);
  });

  it('is life that was heard between two readings, though the socket is gone at the second', () => {
    const observations = waiting();
    observations.observe(reading(['task'], ''), false);
    nowMs += 46_000;
    livedMs = nowMs - 1_000;
    expect(observations.observe(reading(['task'], ''), false)).toMatchObject({
      silentForMs: 1_000,
      lifeVisible: false,
    });
  });

  it('goes on being missing in the next attempt, though the server was gone before', () => {
    seen = { gone: 1, broke: true, listFailed: false };
    const first = waiting();
    first.observe(reading([], ''), false);
    nowMs += 60_000;
    expect(first.observe(reading([], ''), false).missingForMs).toBe(60_000);
    expect(waiting(first.facts).observe(reading([], ''), false).missingForMs).toBe(60_000);
  });

  it('is missing anew when a server that was gone is back', () => {
    const observations = waiting();
    observations.observe(reading([], ''), false);
    nowMs += 60_000;
    seen = { gone: 1, broke: true, listFailed: false };
    expect(observations.observe(reading([], ''), false)).toMatchObject({ missingForMs: 0, gone: true });
  });

  describe('after a server that was gone is back', () => {
    const back = (): Observations => {
      const observations = waiting();
      observations.observe(reading(['task'], 'One'), false);
      seen = { gone: 1, broke: true, listFailed: false };
      nowMs += 5_000;
      observations.observe(reading(['task'], 'One, two'), false);
      nowMs += 5_000;
      return observations;
    };

    it('is no longer suspected once its text has grown since, also in the next attempt', () => {
      const observations = back();
      expect(observations.observe(reading([], 'One, two, three'), false)).toMatchObject({ gone: false });
      expect(waiting(observations.facts).observe(reading([], 'One, two, three'), false)).toMatchObject({ gone: false });
    });

    it('is no longer suspected once an event of it was heard since', () => {
      const observations = back();
      livedMs = nowMs - 1_000;
      expect(observations.observe(reading([], 'One, two'), false)).toMatchObject({ gone: false });
    });

    it('stays suspected by what was there at the return already', () => {
      const observations = back();
      livedMs = nowMs - 9_000;
      expect(observations.observe(reading([], 'One, two'), false)).toMatchObject({ gone: true });
      expect(waiting(observations.facts).observe(reading([], 'One, two, three'), false)).toMatchObject({ gone: true });
    });

    it('is suspected anew when the server goes once more', () => {
      const observations = back();
      observations.observe(reading(['task'], 'One, two, three'), false);
      seen = { ...seen, gone: 1 };
      expect(observations.observe(reading([], 'One, two, three'), false)).toMatchObject({ gone: true });
    });
  });
});
