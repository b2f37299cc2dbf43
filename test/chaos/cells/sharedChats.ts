/** F11: the run is cancelled while a person is answered in the same chat. */
import type { Play } from '../cell';
import type { Expected } from '../judge';
import { chatOf, tasksOf, textOf } from '../outside';
import { askInChat, generationOf, type OwnQuestion } from '../page';
import type { Scene } from '../scene';
import { isAtLeast } from '../steps';

/** From 0.9.0 on only administrators stop one task of several; the stop of a whole chat passes over the second one up to 0.11.3. */
function stopsAll({ release }: Scene, role: Play['role']): boolean {
  return role === 'user' && isAtLeast(release, '0.11.4');
}

export const sharedChats: Play[] = (['admin', 'user'] as const).map((role) => ({
  fault: 'F11',
  step: 'S3',
  name: `cancelled while a person is answered in the same chat${role === 'user' ? ", without an administrator's rights" : ''}`,
  role,
  real: role === 'user',
  run: async (scene) => {
    await scene.worker();
    // It would go on for minutes.
    const run = await scene.ask('[slow=20000]');
    await scene.until('the model is asked', () => scene.generations().length > 0);
    await scene.untilBegun('awaitReply');
    const question = await askInChat(scene, '[slow=1000]');
    await scene.until('the model answers the person', () => (generationOf(scene, question)?.charactersSent ?? 0) > 0);
    await run.cancel();
    await scene.end();
    return whatTheyHave(scene, question, stopsAll(scene, role));
  },
}));

/** The person's answer, when its task is over: whole, or as much of it as there was when it was stopped. */
async function whatTheyHave(scene: Scene, question: OwnQuestion, isStopped: boolean): Promise<Expected> {
  const { person } = scene.place;
  const { chatId, userMessageId, messageId, prompt } = question;
  await scene.until('nobody is answered', async () => (await tasksOf(person, chatId)).length === 0);
  const answer = (await chatOf(person, chatId)).chat.history?.messages?.[messageId] ?? {};
  const sent = generationOf(scene, question);
  scene.mustHappen(
    isStopped ? "a stop of the person's answer" : "the whole of the person's answer",
    () => (sent?.state === 'finished') === !isStopped,
  );
  const text = isStopped ? textOf(answer) : (sent?.text ?? '');
  return {
    ends: ['Cancelled'],
    stoppedOthers: isStopped,
    personsMessages: { [userMessageId]: prompt, [messageId]: text },
  };
}
