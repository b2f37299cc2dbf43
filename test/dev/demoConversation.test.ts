import { Conversation } from '../../dev/demoConversation';
import type { ModelLog } from '../../dev/demoStack';
import { RequestLog, noteEnd, noteText } from '../../dev/model/log';
import type { Service } from '../../dev/processes';
import { OrchestrationError, type ChatOutcome, type ChatRun } from '../../src/client';

const OUTCOME = { chatId: 'chat' } as ChatOutcome;

/** A conversation, and what became of its worker. */
function conversation(result: Promise<ChatOutcome>, log: ModelLog, stage = 'waiting') {
  const said: string[] = [];
  let killed = false;
  const chat = { result: () => result, status: async () => ({ stage }), trouble: async () => undefined };
  const worker = { pid: 7, kill: async () => void (killed = true) };
  const held = new Conversation(chat as unknown as ChatRun, log, { say: (line) => said.push(line) });
  return { kill: () => held.killInTheMiddle(worker as unknown as Service), said, isKilled: () => killed };
}

function logOf(characters: number, ended = false): ModelLog {
  const log = new RequestLog();
  const generation = log.open('generation', 'Why?', {});
  noteText(generation, 'x'.repeat(characters));
  if (ended) noteEnd(generation, 'finished');
  return async () => log.requests;
}

const never = new Promise<ChatOutcome>(() => undefined);

describe('the worker of the demo', () => {
  it('is killed once the reply is under way', async () => {
    const { kill, said, isKilled } = conversation(never, logOf(210));
    expect(await kill()).toBe(210);
    expect(isKilled()).toBe(true);
    expect(said).toEqual(['worker 7 killed with SIGKILL after 210 characters of the reply']);
  });

  it('is killed when the model has been asked, where that is all that can be seen', async () => {
    const { kill, said, isKilled } = conversation(never, undefined);
    expect(await kill()).toBe(0);
    expect(isKilled()).toBe(true);
    expect(said).toEqual(['worker 7 killed with SIGKILL when the model had been asked']);
  });

  it('is left alone if the run fails, whose failure is told', async () => {
    const failure = new OrchestrationError('ModelNotFound', 'There is no model "nonsense".');
    const { kill, isKilled } = conversation(Promise.reject(failure), async () => []);
    await expect(kill()).rejects.toBe(failure);
    expect(isKilled()).toBe(false);
  });

  it('is left alone if the reply came too soon, which is told with what to do', async () => {
    const { kill, isKilled } = conversation(Promise.resolve(OUTCOME), logOf(300, true));
    await expect(kill()).rejects.toThrow(/complete before the worker could be killed.*--prompt/);
    expect(isKilled()).toBe(false);
  });
});
