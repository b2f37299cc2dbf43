/** F10: a person acts in the same chat meanwhile. */
import { randomUUID } from 'node:crypto';
import type { Play, Step } from '../cell';
import type { Expected } from '../judge';
import { call, chatOf } from '../outside';
import { addMessages, chatIdOf, newMessage } from '../page';
import type { Scene } from '../scene';
import { completesByCall, isAtLeast, STEPS } from '../steps';

type Act = (scene: Scene, chatId: string) => Promise<Expected>;

const path = (chatId: string, rest = ''): string => `/api/v1/chats/${chatId}${rest}`;

const rename: Act = async ({ place: { person } }, chatId) => {
  const title = 'As a person calls it';
  await call(person, 'POST', path(chatId), { chat: { title } });
  return { ends: ['done'], title };
};

/** From 0.9.6 on a chat that is archived loses its tasks. */
const archive: Act = async ({ place: { person }, release }, chatId) => {
  await call(person, 'POST', path(chatId, '/archive'));
  return { ends: isAtLeast(release, '0.9.6') ? ['done', 'ReplyStopped'] : ['done'] };
};

const pin: Act = async ({ place: { person } }, chatId) => {
  await call(person, 'POST', path(chatId, '/pin'));
  return { ends: ['done'] };
};

const moveToFolder: Act = async ({ place: { person } }, chatId) => {
  const folder = await call<{ id: string }>(person, 'POST', '/api/v1/folders/', { name: randomUUID() });
  await call(person, 'POST', path(chatId, '/folder'), { folder_id: folder.id });
  return { ends: ['done'] };
};

const remove: Act = async ({ place: { person } }, chatId) => {
  await call(person, 'DELETE', path(chatId));
  return { ends: ['ChatGone'], chats: 0 };
};

/** The question is put otherwise, after it was asked. */
const edit: Act = async (scene, chatId) => {
  const { chat } = await chatOf(scene.place.person, chatId);
  const messages = { ...chat.history?.messages };
  const [asked] = Object.values(messages).filter(({ role }) => role === 'user');
  const question = `${scene.prompt()} as I meant it`;
  messages[asked?.id ?? ''] = { ...asked, content: question };
  const history = { messages, currentId: chat.history?.currentId };
  await call(scene.place.person, 'POST', path(chatId), { chat: { history } });
  return { ends: ['done'], question };
};

/** A further question with its answer, after the reply that stands there. */
const goOn: Act = async (scene, chatId) => {
  const [asked, answered] = [randomUUID(), randomUUID()];
  const texts = { [asked]: 'And Rome?', [answered]: 'Rome is old.' };
  await addMessages(scene, chatId, (messages, tip) => {
    messages[asked] = { ...newMessage(asked, 'user', 'And Rome?'), parentId: tip, childrenIds: [answered] };
    messages[answered] = { ...newMessage(answered, 'assistant', 'Rome is old.'), parentId: asked, childrenIds: [] };
    return { parent: tip, child: asked, current: answered };
  });
  return { ends: ['done'], personsMessages: texts };
};

/** An answer of the person's own beside the one that is being written. */
const addBranch: Act = async (scene, chatId) => {
  const id = randomUUID();
  await addMessages(scene, chatId, (messages, tip) => {
    const parent = messages[tip]?.parentId ?? tip;
    messages[id] = { ...newMessage(id, 'assistant', 'I know it myself.'), parentId: parent, childrenIds: [] };
    return { parent, child: id, current: tip };
  });
  return { ends: ['done'], personsMessages: { [id]: 'I know it myself.' } };
};

const whileWriting: Array<[name: string, act: Act, more?: Partial<Play>]> = [
  ['the chat is renamed', rename, { real: true }],
  ['the chat is archived', archive, { credential: 'key' }],
  ['the chat is pinned', pin, { credential: 'key' }],
  ['the chat is moved to a folder', moveToFolder, { credential: 'key' }],
  ['the chat is deleted', remove, { real: true, fast: true }],
  ['a person adds an answer', addBranch],
  ['a person edits the question', edit],
];

const duringReply: Play[] = whileWriting.map(([name, act, more = {}]) => ({
  fault: 'F10',
  step: 'S3',
  name,
  ...more,
  run: async (scene) => {
    await scene.worker();
    await scene.ask('[hold=3]');
    await scene.untilWriting();
    return act(scene, await chatIdOf(scene));
  },
}));

const atRequests: Array<{
  step: Exclude<Step, 'S0' | 'all'>;
  name: string;
  act: Act;
  kind?: 'holdBefore' | 'holdAfter';
  on?: Play['on'];
}> = [
  { step: 'S1', name: 'the chat is deleted as soon as it is there', act: remove, kind: 'holdAfter' },
  { step: 'S2', name: 'the chat is deleted before the trigger', act: remove },
  { step: 'S2', name: 'the chat is renamed before the trigger', act: rename },
  { step: 'S2', name: 'the chat is archived before the trigger', act: archive },
  { step: 'S2', name: 'a person goes on before the trigger', act: goOn },
  { step: 'S4', name: 'a person goes on before the filters', act: goOn, on: completesByCall },
  { step: 'S5', name: 'a person goes on before the last read', act: goOn },
  { step: 'S5', name: 'the chat is deleted before the last read', act: remove },
];

const duringRequests: Play[] = atRequests.map(({ step, name, act, kind = 'holdBefore', on }) => ({
  fault: 'F10',
  ...{ step, name },
  ...(on === undefined ? {} : { on }),
  run: async (scene) => {
    let acted: (expected: Expected) => void = () => undefined;
    const expected = new Promise<Expected>((resolve) => (acted = resolve));
    scene.fault({ ...STEPS[step].at, kind, meanwhile: async () => acted(await act(scene, await chatIdOf(scene))) });
    await scene.worker();
    await scene.ask();
    return expected;
  },
}));

export const people: Play[] = [...duringReply, ...duringRequests];
