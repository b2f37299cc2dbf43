/** F18: wall clocks that are wrong, from seconds to an hour. Monotonic clocks are right, as they are on every machine. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OrchestrateChatInput } from '../../../src/client';
import type { Play } from '../cell';
import type { Expected } from '../judge';
import { call, chatOf, textOf, type StoredChat } from '../outside';
import { askInChat, generationOf, newMessage, type OwnQuestion } from '../page';
import type { Scene } from '../scene';
import { STEPS } from '../steps';
import { reset } from './resets';

/** Seconds that a clock is ahead; negative behind. */
const WRONG = [-3_600, -10, 10, 3_600];

function inWords(seconds: number): string {
  const size = Math.abs(seconds) === 3_600 ? 'an hour' : `${Math.abs(seconds)} s`;
  return `${size} ${seconds > 0 ? 'ahead' : 'behind'}`;
}

interface ClockPlay {
  step: Play['step'];
  /** What happens besides. */
  name: string;
  real?: Play['real'];
  run: (scene: Scene, seconds: number) => Promise<Expected>;
}

/** Longer than the next attempt waits for it, so that this one makes another chat. */
const TOO_LATE_MS = 7_000;

const lateCreate: ClockPlay = {
  step: 'S1',
  name: 'the create takes effect late',
  real: true,
  run: async (scene, clock) => {
    scene.fault({ ...STEPS.S1.at, kind: 'lateCommit', ms: TOO_LATE_MS });
    await scene.victim({ clock });
    await scene.ask();
    return { ends: ['done'] };
  },
};

const lostCreate: ClockPlay = {
  step: 'S1',
  name: "the create's answer is lost with its worker",
  run: async (scene, clock) => {
    const victim = await scene.victim({ clock });
    scene.fault({ ...STEPS.S1.at, kind: 'holdAfter', meanwhile: () => scene.replace(victim, { clock: -clock }) });
    await scene.ask();
    return { ends: ['done'] };
  },
};

const lostTrigger: ClockPlay = {
  step: 'S2',
  name: "the trigger's answer is lost",
  run: async (scene, clock) => {
    scene.fault({ ...STEPS.S2.at, kind: 'resetAfter' });
    await scene.victim({ clock });
    await scene.ask('[slow=1200]');
    return { ends: ['done'] };
  },
};

const resets: ClockPlay[] = (['the create', 'the trigger'] as const).map((to) => ({
  step: 'S3',
  name: `reset to before ${to}, in the middle of the reply`,
  run: async (scene, clock) => {
    await scene.victim({ clock });
    await scene.ask('[slow=1500]');
    await scene.untilWriting();
    await scene.untilBegun('awaitReply');
    await reset(scene, to);
    return { ends: ['done'] };
  },
}));

const handOver: ClockPlay = {
  step: 'S3',
  name: 'handed over to a worker of another clock, in the middle of the reply',
  real: true,
  run: async (scene, clock) => {
    const victim = await scene.victim({ clock });
    await scene.ask('[slow=2000]');
    await scene.untilWriting();
    await scene.replace(victim, { clock: -clock });
    return { ends: ['done'] };
  },
};

const BUDGET_MS = 15_000;
/** The wait for the killed worker's heartbeat may be all that there is of it. */
const LATEST_END_MS = 60_000;

const budget: ClockPlay = {
  step: 'S3',
  name: 'the budget of a reply ends after a hand-over',
  run: async (scene, clock) => {
    const victim = await scene.victim({ clock });
    await scene.ask('[slow=60000]', { replyBudgetMs: BUDGET_MS });
    await scene.until('the model is asked', () => scene.generations().length > 0);
    const askedAt = Date.now();
    await scene.untilBegun('awaitReply');
    await scene.replace(victim, { clock: -clock });
    await scene.runIsOver();
    const tookMs = Date.now() - askedAt;
    scene.mustHappen(
      `an end when the budget ends (it took ${tookMs} ms)`,
      () => tookMs > BUDGET_MS - 1_000 && tookMs < LATEST_END_MS,
    );
    return { ends: ['ReplyTimedOut'] };
  },
};

/** A chat of the person's own, with a question that the model is answering. It is known by its title. */
async function answeredChat({ place: { person }, marker }: Scene): Promise<string> {
  const asked = { ...newMessage('asked', 'user', 'Where is Rome?'), parentId: null, childrenIds: ['answered'] };
  const answered = { ...newMessage('answered', 'assistant', 'In Italy.'), parentId: 'asked', childrenIds: [] };
  const history = { messages: { asked, answered }, currentId: 'answered' };
  const chat = { title: marker, models: ['model-a'], history };
  return (await call<StoredChat>(person, 'POST', '/api/v1/chats/new', { chat })).id;
}

/** The turn comes after the person's reply. @returns what the person has in the chat then */
async function afterOthersReply(scene: Scene, startWorker: () => Promise<unknown>): Promise<Expected> {
  const chatId = await answeredChat(scene);
  await startWorker();
  const question = await askInChat(scene, '[slow=1200]');
  await scene.until('the model answers the person', () => (generationOf(scene, question)?.charactersSent ?? 0) > 0);
  await scene.ask('', { chat: { id: chatId } } satisfies Partial<OrchestrateChatInput>);
  await scene.runIsOver();
  scene.mustHappen("a wait for the person's reply", () => waited(scene, question));
  const { chat } = await chatOf(scene.place.person, chatId);
  const messages = chat.history?.messages ?? {};
  const persons = ['asked', 'answered', question.userMessageId, question.messageId];
  const texts = { asked: 'Where is Rome?', answered: 'In Italy.', [question.userMessageId]: question.prompt };
  const reply = { [question.messageId]: generationOf(scene, question)?.text ?? '' };
  scene.mustHappen('all of their messages', () => persons.every((id) => textOf(messages[id] ?? {}) !== ''));
  return { ends: ['done'], personsMessages: { ...texts, ...reply }, title: scene.marker };
}

function waited(scene: Scene, question: OwnQuestion): boolean {
  const [own] = scene.generations();
  const before = generationOf(scene, question);
  return own !== undefined && before?.endedAt !== undefined && own.startedAt >= before.endedAt;
}

const furtherTurn: ClockPlay = {
  step: 'S1',
  name: 'a further turn, while a reply runs in the chat',
  run: (scene, clock) => afterOthersReply(scene, () => scene.victim({ clock })),
};

const ofWorkers: Play[] = [lateCreate, lostCreate, furtherTurn, lostTrigger, ...resets, handOver, budget].flatMap(
  ({ step, name, real = false, run }) =>
    WRONG.map((seconds): Play => ({
      ...{ fault: 'F18', step, limitMs: 150_000 },
      name: `clock ${inWords(seconds)}: ${name}`,
      real: real && Math.abs(seconds) === 3_600,
      run: (scene) => run(scene, seconds),
    })),
);

const ofWorkersInMidRun: Play[] = [-3_600, 3_600].map((seconds) => ({
  ...{ fault: 'F18', step: 'S3' },
  name: `the worker's clock is set ${inWords(seconds)} in the middle of the reply`,
  run: async (scene) => {
    const worker = await scene.victim({ clock: 0 });
    await scene.ask('[slow=1500]');
    await scene.untilWriting();
    await worker.setClock(seconds);
    await sleep(1_000);
    return { ends: ['done'] };
  },
}));

interface ServersPlay extends Omit<ClockPlay, 'run'> {
  run: (scene: Scene) => Promise<Expected>;
}

const SERVERS: ServersPlay[] = [
  {
    step: 'S1',
    name: "the create's answer is lost",
    run: async (scene) => {
      scene.fault({ ...STEPS.S1.at, kind: 'resetAfter' });
      await scene.worker();
      await scene.ask();
      return { ends: ['done'] };
    },
  },
  {
    step: 'S1',
    name: 'a further turn, while a reply runs in the chat',
    run: (scene) => afterOthersReply(scene, () => scene.worker()),
  },
  {
    step: 'S3',
    name: 'nothing else happens',
    run: async (scene) => {
      await scene.worker();
      await scene.ask('[slow=300]');
      return { ends: ['done'] };
    },
  },
];

const ofServers: Play[] = SERVERS.flatMap(({ step, name, run }) =>
  [-3_600, 3_600].map((seconds): Play => ({
    ...{ fault: 'F18', step, credential: 'key' },
    name: `Open WebUI's clock ${inWords(seconds)}, that of the proxy before it right: ${name}`,
    run: async (scene) => {
      scene.proxy.clockSkewSeconds = seconds;
      scene.proxy.writesDate = true;
      const expected = await run(scene);
      scene.mustHappen('an answer with the wrong time', () => scene.proxy.skewedAnswers > 0);
      return expected;
    },
  })),
);

export const clocks: Play[] = [...ofWorkers, ...ofWorkersInMidRun, ...ofServers];
