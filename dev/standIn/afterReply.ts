import type { Generation } from './generation';
import { branchTo } from './history';
import { askForTask } from './upstream';
import type { World } from './world';

export interface BackgroundTasks {
  title_generation?: boolean;
  tags_generation?: boolean;
  follow_up_generation?: boolean;
}

/** Follow-ups, title and tags: one after the other, each a call of the model, all in the reply's own task. */
export async function afterReply(world: World, generation: Generation, signal: AbortSignal): Promise<void> {
  const { backgroundTasks, model, messageId } = generation.request;
  const chat = generation.chat;
  if (!chat) return;
  const ask = async (wanted: string, form: string): Promise<unknown> => {
    const said = branchTo(chat, messageId).map((message) => `${message.role ?? ''}: ${message.content ?? ''}`);
    const history = `### Chat History:\n<chat_history>\n${said.join('\n')}\n</chat_history>`;
    const prompt = `### Task:\nGenerate ${wanted}.\nJSON format: { ${form} }\n${history}`;
    return (JSON.parse(await askForTask(world, model, prompt, signal)) as Record<string, unknown>)[wanted];
  };
  if (backgroundTasks.follow_up_generation) {
    const followUps = await ask('follow_ups', '"follow_ups": ["Question?"]');
    generation.write({ followUps });
    generation.emit('chat:message:follow_ups', { follow_ups: followUps });
  }
  if (backgroundTasks.title_generation !== undefined) {
    const first = branchTo(chat, messageId)[0]?.content ?? 'New Chat';
    chat.title = backgroundTasks.title_generation ? String(await ask('title', '"title": "Title"')) : first;
    chat.chat.title = chat.title;
    generation.emit('chat:title', chat.title);
  }
  if (backgroundTasks.tags_generation) {
    const tags = await ask('tags', '"tags": ["tag"]');
    // The generated tags take the place of all others.
    chat.meta = { ...chat.meta, tags };
    generation.emit('chat:tags', tags);
  }
}
