import { servesAll, type Served } from '../../../src/batch/file/served';
import { jsonl, readBatch } from './readBatch';

const ALL: Served = { unknownModels: [], unknownConnections: [], maxPromptBytes: 100 };
const LONG = 'é'.repeat(51);

describe('what a worker serves', () => {
  it('is all that it does not name, and has a prompt of its limit at most', () => {
    expect(servesAll(ALL, 100)).toBe(true);
    expect(servesAll(ALL, 101)).toBe(false);
    expect(servesAll({ unknownModels: [] }, 1_000_000)).toBe(true);
    expect(servesAll({ ...ALL, unknownConnections: ['c'] }, 1)).toBe(false);
    expect(servesAll({ ...ALL, unknownModels: [{ connection: 'c', model: 'm' }] }, 1)).toBe(false);
  });

  it('leaves out the rows of an unknown model or connection, with the line of each', async () => {
    const rows = [{ id: 'a' }, { model: 'm' }, { connection: 'c' }, { model: 'm', connection: 'd' }, { model: 'm' }];
    const content = jsonl(...rows.map((row) => ({ prompt: 'Hi', ...row })));
    const served = { ...ALL, unknownModels: [{ connection: 'default', model: 'm' }], unknownConnections: ['c'] };
    const { told, all } = await readBatch(content, { served });
    const noModel = 'Open WebUI has no model "m" for connection default';
    expect(told).toEqual([
      `line 2: ${noModel}; use one that "models" lists, or give the user access to it.`,
      'line 3: The worker has no connection "c"; use one that it has, or add it to its configuration.',
      `line 5: ${noModel}; use one that "models" lists, or give the user access to it.`,
    ]);
    expect(all.map(({ id }) => id)).toEqual(['a', 'row-4']);
  });

  it('leaves out prompts that are too long for it, all counted that the model is told', async () => {
    const messages = [
      { role: 'user', content: 'x'.repeat(60) },
      { role: 'assistant', content: 'x'.repeat(35) },
      { role: 'user', content: 'Hello' },
    ];
    const content = jsonl({ prompt: LONG }, { messages }, { messages, system: 'x' }, { prompt: 'Hi' });
    const { longestPrompt } = await readBatch(content);
    expect(longestPrompt).toBe(102);
    const { told, rows } = await readBatch(content, { served: ALL });
    expect(told).toEqual([
      expect.stringMatching(
        /^line 1: The prompt, .* has 102 bytes, more than the 100 that the worker takes \(ORCHESTRATOR_MAX_PROMPT_BYTES\)/,
      ),
      expect.stringMatching(/^line 3: .* has 101 bytes/),
    ]);
    expect(rows).toBe(2);
  });

  it('counts what the options give to all', async () => {
    const common = { model: 'm', system: 'x'.repeat(99) };
    const { told } = await readBatch(jsonl({ prompt: 'Hi' }), { common, served: ALL });
    expect(told).toEqual([expect.stringMatching(/^line 1: .* has 101 bytes/)]);
  });

  it('says it of the column in a CSV', async () => {
    const served = { ...ALL, unknownModels: [{ connection: 'default', model: 'm' }] };
    const { told } = await readBatch(`prompt,model\nHi,m\n${LONG},n\n`, { served });
    expect(told).toEqual([
      expect.stringMatching(/^line 2, column "model": Open WebUI has no model/),
      expect.stringMatching(/^line 3, column "prompt": The prompt/),
    ]);
  });

  it('changes nothing of what is wrong with other rows', async () => {
    const chat = { id: '00000000-0000-4000-8000-00000000000a' };
    const content = jsonl({ prompt: '1', chat, model: 'm' }, { prompt: '2', chat }, { id: 'row-1', prompt: '3' });
    const { told: first } = await readBatch(content);
    expect(first).toHaveLength(2);
    const served = { ...ALL, unknownModels: [{ connection: 'default', model: 'm' }] };
    const { told } = await readBatch(content, { served });
    expect(told.slice(1)).toEqual(first);
  });

  it('makes another batch of the rows that remain', async () => {
    const content = jsonl({ id: 'a', prompt: 'Hi' }, { id: 'b', prompt: LONG });
    const { digest } = await readBatch(content, { served: ALL });
    expect(digest).toBe((await readBatch(jsonl({ id: 'a', prompt: 'Hi' }))).digest);
    expect(digest).not.toBe((await readBatch(content)).digest);
  });
});
