import { faultOfKey } from '../../../src/batch/batches';
import type { Served } from '../../../src/batch/file/served';
import { checkFile, nameOf } from '../../../src/commands/batch/checkFile';
import type { RunOptions } from '../../../src/commands/batch/runOptions';
import { inFile, jsonl } from '../../batch/file/readBatch';

const SERVED: Served = {
  unknownModels: [{ connection: 'default', model: 'gpt-4o' }],
  known: { models: { default: ['model-a', 'model-b'] } },
};
const FAULT =
  'Open WebUI has no model "gpt-4o" for connection default; use one of model-a, model-b, or give the user access to it.';

/** What is told of rows, and with what the command ends. */
async function told(rows: object[], served: Served, options: Partial<RunOptions>): Promise<string[]> {
  const lines: string[] = [];
  const write = (text: string | Uint8Array): boolean => lines.push(String(text).trimEnd()) > 0;
  const spies = [process.stderr, process.stdout].map((stream) => jest.spyOn(stream, 'write').mockImplementation(write));
  const { model, connection } = options;
  const common = { ...(model === undefined ? {} : { model }), ...(connection === undefined ? {} : { connection }) };
  try {
    await inFile(jsonl(...rows), 'rows.jsonl', (file) =>
      checkFile(file, { wait: true, ...options }, { common, template: undefined }, served),
    );
  } catch (error) {
    lines.push((error as Error).message.replace(/\S*\/(?=rows)/, ''));
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return lines;
}

describe('an option that names what the worker does not serve', () => {
  const rows = [{ prompt: '1' }, { prompt: '2' }, { prompt: '3', model: 'model-a' }];

  it('is told once for all rows, with what there is instead', async () => {
    expect(await told(rows.slice(0, 2), SERVED, { model: 'gpt-4o' })).toEqual([
      `--model gpt-4o, for 2 rows: ${FAULT}`,
      'rows.jsonl has no row that can be carried out, and nothing was sent; correct --model',
    ]);
  });

  it('is told apart from rows that name it themselves', async () => {
    expect(await told([...rows, { prompt: '4', model: 'gpt-4o' }], SERVED, { model: 'gpt-4o' })).toEqual([
      `line 4: ${FAULT}`,
      `--model gpt-4o, for 2 rows: ${FAULT}`,
      expect.stringMatching(/^rows.jsonl has 3 of 4 rows .*; correct them, or go on without them with --skip-invalid$/),
    ]);
  });

  it('leaves its rows out with --skip-invalid', async () => {
    const options = { model: 'gpt-4o', skipInvalid: true };
    expect(await told(rows, SERVED, options)).toEqual([`--model gpt-4o, for 2 rows: ${FAULT}`]);
  });

  it('is one event for programs', async () => {
    const [problem] = await told(rows, SERVED, { model: 'gpt-4o', json: true });
    expect(JSON.parse(problem ?? '')).toEqual({ event: 'problem', option: 'model', rows: 2, problem: FAULT });
  });

  it('is the connection, given or not', async () => {
    const served = (name: string): Served => ({
      unknownModels: [],
      unknownConnections: [name],
      known: { connections: ['team'] },
    });
    const options = { model: 'model-a' };
    expect((await told(rows, served('other'), { ...options, connection: 'other' }))[0]).toBe(
      '--connection other, for 3 rows: The worker has no connection "other"; use team, or add it to its configuration.',
    );
    expect((await told(rows, served('default'), options))[0]).toMatch(
      /^without --connection, for 3 rows: The worker has no connection "default"; use team/,
    );
  });

  it('is not at fault where the row names another connection', async () => {
    const served = { unknownModels: [{ connection: 'team', model: 'model-a' }] };
    const [first] = await told([{ prompt: '1', connection: 'team' }], served, { model: 'model-a' });
    expect(first).toMatch(
      /^line 1: Open WebUI has no model "model-a" for connection team; use one that "models" lists/,
    );
  });
});

describe('the name that a key is made of', () => {
  it.each([
    ['/data/questions.jsonl.gz', 'questions'],
    ['Standard input', 'Standard-input'],
    ['ü.csv', 'batch'],
    ['night-prepare.jsonl', 'night_prepare'],
    ['night-retry.jsonl', 'night_retry'],
    ['night-page.csv', 'night_page'],
    [`${'x'.repeat(35)}-page-2.csv`, `${'x'.repeat(35)}_page`],
  ])('of %s is %s', (file, name) => expect(nameOf(file)).toBe(name));

  it.each(['night-prepare', 'night-retry', 'night-page', 'night-retry-1-page', 'prepare'])(
    'makes a key that a batch can have, of %s',
    (stem) => expect(faultOfKey(`${nameOf(stem)}-0123456789`)).toBeUndefined(),
  );
});
