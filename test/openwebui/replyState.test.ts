import fc from 'fast-check';
import { replyState, type ReplyProfile, type ReplyState } from '../../src/openwebui/replyState';
import type { Message } from '../../src/openwebui/schemas';
import { PROFILES, RELEASES, momentsOf, scenariosOf, type Moment } from './recordings';

const NO_DONE_MARK = ['0.6.15', '0.6.30', '0.6.41', '0.6.43', '0.7.2'];
const CUT = "Response payload is not completed: <TransferEncodingError: 400, message='Not enough data";

type Kind = ReplyState['kind'];
interface Expectation {
  scenario: string;
  moment: string;
  state: Kind;
  /** Releases where it is another one. */
  but?: Array<[releases: string[], state: Kind]>;
  error?: RegExp;
}

const RECORDED: Expectation[] = [
  { scenario: 'reply', moment: 'untriggered', state: 'untriggered' },
  { scenario: 'reply', moment: 'running', state: 'running' },
  { scenario: 'reply', moment: 'finished', state: 'finished' },
  { scenario: 'reply-with-title-tags-follow-ups', moment: 'finished', state: 'finished' },
  { scenario: 'json-reply', moment: 'finished', state: 'finished' },
  { scenario: 'reasoning-reply', moment: 'finished', state: 'finished' },
  { scenario: 'knowledge', moment: 'finished', state: 'finished' },
  { scenario: 'second-turn', moment: 'finished', state: 'finished' },
  { scenario: 'two-models', moment: 'finished', state: 'finished' },
  { scenario: 'retrigger-finished', moment: 'after second trigger', state: 'finished' },
  { scenario: 'empty-reply', moment: 'finished', state: 'finished', but: [[NO_DONE_MARK, 'lost']] },
  { scenario: 'error-json', moment: 'failed', state: 'failed', error: /^(500: )?scripted failure 500$/ },
  { scenario: 'rate-limited', moment: 'failed', state: 'failed', error: /^(429: )?scripted failure 429$/ },
  {
    scenario: 'error-html',
    moment: 'failed',
    state: 'lost',
    but: [[['0.6.15', '0.12.4'], 'failed']],
    error: /502 Bad Gateway/,
  },
  { scenario: 'stream-cut', moment: 'cut', state: 'failed', but: [[['0.6.15'], 'lost']], error: new RegExp(`^${CUT}`) },
  { scenario: 'stopped', moment: 'stopped', state: 'stopped', but: [[NO_DONE_MARK, 'finished']] },
  { scenario: 'server-killed', moment: 'running', state: 'running' },
  { scenario: 'server-killed', moment: 'after restart', state: 'lost' },
  { scenario: 'server-killed', moment: 'after stop', state: 'lost' },
  { scenario: 'unknown-model', moment: 'after', state: 'untriggered' },
];

function expectedOn(release: string, { state, but = [] }: Expectation): Kind {
  return but.find(([releases]) => releases.includes(release))?.[1] ?? state;
}

function profileOf(release: string): ReplyProfile {
  const profile = PROFILES[release];
  if (profile === undefined) throw new Error(`No profile for ${release}`);
  return profile;
}

function stateIn(release: string, moment: Moment, messageId: string, ours?: { taskId?: string }): ReplyState {
  const message = moment.chat.chat.history?.messages[messageId];
  return replyState({ taskIds: moment.taskIds, message }, profileOf(release), ours);
}

// The answer of the second model that 0.10.2 lost, as it loses about four in ten of several at once.
function isRaced(release: string, scenario: string, moment: Moment, messageId: string): boolean {
  return release === '0.10.2' && scenario === 'two-models' && messageId !== moment.answers[0];
}

describe.each(RELEASES)('the state of a reply recorded on Open WebUI %s', (release) => {
  const rows = RECORDED.flatMap((expectation) =>
    momentsOf(release, expectation.scenario)
      .filter((moment) => moment.label === expectation.moment)
      .flatMap((moment) => moment.answers.map((messageId) => ({ expectation, moment, messageId }))),
  ).map(({ expectation, moment, messageId }) => {
    const { scenario, error } = expectation;
    const kind = isRaced(release, scenario, moment, messageId) ? 'lost' : expectedOn(release, expectation);
    const taskId = moment.triggered.filter((trigger) => trigger.messageId === messageId).at(-1)?.taskId;
    return { scenario, label: moment.label, kind, moment, messageId, error, taskId };
  });

  it.each(rows)('$scenario, $label, is $kind', ({ moment, messageId, kind, error, taskId }) => {
    const states = [stateIn(release, moment, messageId)];
    if (taskId !== undefined) states.push(stateIn(release, moment, messageId, { taskId }));
    for (const state of states) {
      expect(state.kind).toBe(kind);
      if (state.kind === 'failed') expect(state.error).toMatch(error ?? /never/);
    }
  });

  it.each(rows.filter(({ taskId }) => taskId !== undefined))(
    "$scenario, $label, is $kind although another person's answer runs in the same chat",
    ({ moment, messageId, kind, taskId = '' }) => {
      const busy = { ...moment, taskIds: [...moment.taskIds, 'task-of-another'] };
      expect(stateIn(release, busy, messageId, { taskId }).kind).toBe(kind);
    },
  );

  it('is judged for every recorded moment', () => {
    const recorded = scenariosOf(release)
      .filter((scenario) => !['socket-events', 'server'].includes(scenario))
      .flatMap((scenario) => momentsOf(release, scenario).map(({ label }) => `${scenario}: ${label}`));
    const judged = new Set(rows.map(({ scenario, label }) => `${scenario}: ${label}`));
    expect(recorded.filter((name) => !judged.has(name))).toEqual([]);
    expect(judged.size).toBeGreaterThanOrEqual(18);
  });
});

const OLD = profileOf('0.6.15');
const MARKED = profileOf('0.9.6');
const NEW = profileOf('0.12.4');

function answer(fields: Partial<Message> = {}): Message {
  return { id: 'a', role: 'assistant', parentId: 'u', childrenIds: [], content: '', done: false, ...fields };
}
const text = (status: string): Message['output'] => [
  { type: 'message', status, content: [{ type: 'output_text', text: 'Par' }] },
];
const call = (status: string): Message['output'] => [{ type: 'function_call', status, name: 'look_up' }];

interface Case {
  title: string;
  profile: ReplyProfile;
  message: Message | undefined;
  taskIds?: string[];
  ours?: string;
  kind: Kind;
}

const CASES: Case[] = [
  {
    title: 'a message that is not in the chat is gone',
    profile: NEW,
    message: undefined,
    taskIds: ['t'],
    kind: 'gone',
  },
  {
    title: 'on 0.12 done is not final while the task, which may run outlet filters, is listed',
    profile: NEW,
    message: answer({ content: 'Paris', done: true, output: text('completed'), meta: { task_id: 't' } }),
    taskIds: ['t'],
    kind: 'running',
  },
  {
    title: 'on 0.12 a foreign task does not keep a done message waiting even if our trigger got no answer',
    profile: NEW,
    message: answer({ content: 'Paris', done: true, output: text('completed'), meta: { task_id: 't' } }),
    taskIds: ['other'],
    kind: 'finished',
  },
  {
    title: 'where the task is unknown, any task of the chat may be ours',
    profile: MARKED,
    message: answer({ content: 'Paris', done: true, output: text('completed') }),
    taskIds: ['unknown'],
    kind: 'running',
  },
  {
    title: 'a trigger whose answer was lost is adopted from the task list before anything stands on the message',
    profile: OLD,
    message: answer(),
    taskIds: ['unknown'],
    kind: 'running',
  },
  {
    title: 'a dead task of ours is lost although a foreign one runs',
    profile: MARKED,
    message: answer({ model: 'm' }),
    taskIds: ['other'],
    ours: 't',
    kind: 'lost',
  },
  {
    title: 'a message with two tasks runs as long as one of them does',
    profile: NEW,
    message: answer({ model: 'm', meta: { task_id: 'second' } }),
    taskIds: ['first'],
    ours: 'first',
    kind: 'running',
  },
  {
    title: 'on 0.12 a model without a task id is not yet a trigger',
    profile: NEW,
    message: answer({ model: 'm' }),
    kind: 'untriggered',
  },
  {
    title: 'before 0.12 a model means triggered',
    profile: MARKED,
    message: answer({ model: 'm' }),
    kind: 'lost',
  },
  {
    title: 'a trigger that was answered is never sent again, whatever the message says',
    profile: NEW,
    message: answer(),
    ours: 't',
    kind: 'lost',
  },
  {
    title: 'without done marks a done of a page means nothing before the answer',
    profile: OLD,
    message: answer({ done: true }),
    kind: 'untriggered',
  },
  {
    title: 'without done marks a done of a page does not finish a running answer',
    profile: OLD,
    message: answer({ done: true, model: 'm' }),
    taskIds: ['t'],
    ours: 't',
    kind: 'running',
  },
  {
    title: 'without done marks a text saved chunk by chunk is not final while its task runs',
    profile: OLD,
    message: answer({ content: 'Par', model: 'm' }),
    taskIds: ['t'],
    kind: 'running',
  },
  {
    title: 'with done marks a text without one is a part left by a dead generation',
    profile: MARKED,
    message: answer({ content: 'Par', model: 'm', output: text('in_progress') }),
    kind: 'lost',
  },
  {
    title: 'a text without any mark of a trigger is not triggered over',
    profile: NEW,
    message: answer({ content: 'written by hand' }),
    kind: 'lost',
  },
  {
    title: 'an untriggered message put away by a chat stop is not triggered: the server would refuse',
    profile: NEW,
    message: answer({ done: true }),
    kind: 'lost',
  },
  {
    title: 'an answer of tool calls only is finished',
    profile: MARKED,
    message: answer({ done: true, model: 'm', output: call('completed') }),
    kind: 'finished',
  },
  {
    title: 'a stop in the middle of a tool call is a stop',
    profile: NEW,
    message: answer({ done: true, output: call('incomplete'), meta: { task_id: 't' } }),
    kind: 'stopped',
  },
  {
    title: 'a tool call that waits for a person is running: no task is listed until the person answers',
    profile: NEW,
    message: answer({ content: 'Let me look.', output: call('pending'), meta: { task_id: 't' } }),
    kind: 'running',
  },
  {
    title: 'a tool call that a stop has refused is finished',
    profile: NEW,
    message: answer({ done: true, output: call('rejected'), meta: { task_id: 't' } }),
    kind: 'finished',
  },
  {
    title: 'an error counts although the task still makes a title',
    profile: MARKED,
    message: answer({ model: 'm', error: { content: 'no' } }),
    taskIds: ['t'],
    ours: 't',
    kind: 'failed',
  },
  {
    title: 'an error after a part of the text is a failure',
    profile: NEW,
    message: answer({ content: 'Par', done: true, output: text('completed'), error: { content: { message: 'no' } } }),
    kind: 'failed',
  },
  { title: 'an error that is null is none', profile: NEW, message: answer({ error: null }), kind: 'untriggered' },
  { title: 'an error that is false is none', profile: NEW, message: answer({ error: false }), kind: 'untriggered' },
];

describe('the state of a reply', () => {
  it.each(CASES)('$title', ({ profile, message, taskIds = [], ours, kind }) => {
    const state = replyState({ taskIds, message }, profile, ours === undefined ? undefined : { taskId: ours });
    expect(state.kind).toBe(kind);
  });

  const everyProfile = fc.constantFrom(...RELEASES.map(profileOf));
  const anyMessage = fc.record(
    {
      content: fc.constantFrom('', 'Paris', null, ['part']),
      done: fc.constantFrom(true, false, null),
      model: fc.constantFrom('m', null),
      meta: fc.constantFrom({ task_id: 'mine' }, { task_id: null }, {}, null),
      output: fc.constantFrom(null, [], text('completed'), text('in_progress'), call('pending')),
      error: fc.constantFrom(null, '', 'no', { content: '' }),
    },
    { requiredKeys: [] },
  );
  const anyTasks = fc.subarray(['mine', 'ours', 'other']);
  const anyOurs = fc.constantFrom({}, { taskId: 'ours' });

  it('is never final while its own task is listed', () => {
    fc.assert(
      fc.property(everyProfile, anyMessage, anyTasks, (profile, message, others) => {
        const { kind } = replyState({ taskIds: ['ours', ...others], message }, profile, { taskId: 'ours' });
        expect(['running', 'failed']).toContain(kind);
      }),
    );
  });

  it('allows a trigger only for a message that nothing was written to and that no task may be working on', () => {
    fc.assert(
      fc.property(everyProfile, anyMessage, anyTasks, anyOurs, (profile, message, taskIds, ours) => {
        if (replyState({ taskIds, message }, profile, ours).kind !== 'untriggered') return;
        expect(message.content ?? '').toBe('');
        expect(message.output ?? []).toEqual([]);
        expect(message.error ?? null).toBeNull();
        expect(ours).toEqual({});
        expect(message.meta?.task_id ?? null).toBeNull();
        expect(taskIds).toEqual([]);
      }),
    );
  });

  it('is not changed by tasks of others once our task is known', () => {
    fc.assert(
      fc.property(everyProfile, anyMessage, fc.subarray(['mine', 'ours']), (profile, message, taskIds) => {
        const ours = { taskId: 'ours' };
        const alone = replyState({ taskIds, message }, profile, ours);
        expect(replyState({ taskIds: [...taskIds, 'other'], message }, profile, ours)).toEqual(alone);
      }),
    );
  });
});

describe('the error of a failed reply', () => {
  const errors: Array<[name: string, error: unknown, text: string]> = [
    ['a string', 'out of tokens', 'out of tokens'],
    ['an object with content', { content: 'out of tokens' }, 'out of tokens'],
    ["the provider's object in content", { content: { message: 'out of tokens', code: 'x' } }, 'out of tokens'],
    ['an error in an error', { error: { message: 'out of tokens' } }, 'out of tokens'],
    ['a detail', { detail: 'out of tokens' }, 'out of tokens'],
    ['an object of another form', { content: { code: 429 } }, '{"code":429}'],
    ['blank content', { content: '' }, 'The server gives no reason'],
    ['blank text', ' ', 'The server gives no reason'],
    ['no content', {}, 'The server gives no reason'],
    ['a null content', { content: null }, 'The server gives no reason'],
    ['text with a secret', { content: 'Bearer abc.def refused' }, 'Bearer *** refused'],
  ];

  it.each(errors)('is read from %s', (_name, error, expected) => {
    const state = replyState({ taskIds: [], message: answer({ error }) }, NEW);
    expect(state).toMatchObject({ kind: 'failed', error: expected });
  });

  it('is the content where the error is only a flag', () => {
    const message = answer({ error: true, content: 'out of tokens' });
    expect(replyState({ taskIds: [], message }, OLD)).toEqual({
      kind: 'failed',
      error: 'out of tokens',
      cutStream: false,
      trouble: { kind: 'unknown' },
    });
  });

  it.each<[name: string, error: unknown, trouble: object]>([
    ['a string', 'Overloaded', { kind: 'passing' }],
    [
      'the words of an object',
      { content: { message: 'Try again in 2s: overloaded' } },
      { kind: 'passing', retryAfterMs: 2_000 },
    ],
    ['the type of an object', { content: { message: 'Sorry', type: 'overloaded_error' } }, { kind: 'passing' }],
    ['the code of an object', { content: { message: 'Sorry', code: 503 } }, { kind: 'passing' }],
    ['the code of an object that is text', { content: { message: 'Sorry', code: '429' } }, { kind: 'passing' }],
    ['words behind what is shown', { content: `${'x'.repeat(600)} overloaded` }, { kind: 'passing' }],
    ['nothing that is known', { content: { message: 'Sorry', code: 'scripted' } }, { kind: 'unknown' }],
  ])('says by %s whether it passes', (_, error, trouble) => {
    expect(replyState({ taskIds: [], message: answer({ error }) }, NEW)).toMatchObject({ kind: 'failed', trouble });
  });
});
