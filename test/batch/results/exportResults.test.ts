import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, open, readFile, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { BatchRow } from '../../../src/batchContract';
import { errorsPathOf, exportResults, filesOf, type ExportOptions } from '../../../src/batch/results/exportResults';
import { ResultsFileError, type FileSystem } from '../../../src/batch/results/resultsFile';
import type { ResultLine } from '../../../src/batch/results/resultsFormat';
import { BatchReader, type ResultPage } from '../../../src/batch/results/rowResults';
import type { Connection } from '../../../src/openwebui/connection';
import { ForgedBatch, KEY, type ForgedPage } from '../forgedBatch';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'results-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const ok = (...ids: string[]): ForgedPage => ({
  rows: ids.map((id) => ({ id, attempts: [{ ok: {} }] })),
  end: 'completed',
});

function options(batch: ForgedBatch, more: Partial<ExportOptions> = {}): ExportOptions {
  return { client: batch.client, batchKey: KEY, out: join(directory, 'results.jsonl'), format: 'jsonl', ...more };
}

/** A connection to an Open WebUI that has this reply in each chat, as row `a` has it. */
function withReply(content: string): Connection {
  const messages = { 'm-a': { role: 'assistant', content, done: true, output: [] } };
  const client = { chat: async (id: string) => ({ id, chat: { history: { messages } } }) };
  return { name: 'default', client, close: async () => undefined } as unknown as Connection;
}

async function lines(file = 'results.jsonl'): Promise<ResultLine[]> {
  const text = await readFile(join(directory, file), 'utf8');
  expect(text.endsWith('\n')).toBe(true);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ResultLine);
}

describe('the results of a batch', () => {
  it('are one line a row in the order of the file, with how each row has ended', async () => {
    const details = { chatId: 'c', url: 'http://open-webui.test/c/c' };
    const rows: ForgedPage['rows'] = [
      { id: 'a', attempts: [{ ok: {} }] },
      { id: 'b', attempts: [{ failed: 'ReplyFailed', message: 'No tokens left', details }] },
      { id: 'c', attempts: ['cancelled'] },
      { id: 'd', attempts: ['terminated'] },
      { id: 'e', attempts: ['timedOut'] },
      { id: 'f', attempts: ['refused'] },
      { id: 'g', attempts: ['open'] },
      { id: 'h', attempts: [] },
    ];
    const summary = await exportResults(options(new ForgedBatch([[{ rows }]])));
    const read = await lines();
    expect(read.map(({ id, status, error }) => [id, status, error?.type])).toEqual([
      ['a', 'completed', undefined],
      ['b', 'failed', 'ReplyFailed'],
      ['c', 'cancelled', 'Cancelled'],
      ['d', 'failed', 'Terminated'],
      ['e', 'failed', 'TimedOut'],
      ['f', 'failed', 'RequestKeyReused'],
      ['g', 'inFlight', undefined],
      ['h', 'waiting', undefined],
    ]);
    expect(read[0]).toMatchObject({
      ...{ content: 'Reply to a', chatId: 'chat-of-a', url: 'http://open-webui.test/c/chat-of-a', model: 'model-a' },
      ...{ usage: { prompt_tokens: 10, completion_tokens: 20 }, generations: 1, timings: { totalMs: 1_000 } },
    });
    expect(summary).toMatchObject({ rows: 8, completed: 1, failed: 4, cancelled: 1, inFlight: 1, waiting: 1 });
    const errors = await lines('results.jsonl.errors.jsonl');
    expect(errors[0]).toEqual({ id: 'b', type: 'ReplyFailed', message: 'No tokens left', ...details });
    expect(errors.map(({ id }) => id)).toEqual(['b', 'c', 'd', 'e', 'f']);
  });

  it('take the last of several attempts, and the newest round that came to a row', async () => {
    const first: ForgedPage = {
      rows: [
        { id: 'a', attempts: [{ failed: 'ServerUnavailable' }, { ok: {} }] },
        { id: 'b', attempts: [{ failed: 'ReplyFailed', details: { chatId: 'of-b', url: 'http://x/c/of-b' } }] },
        { id: 'c', attempts: [{ failed: 'ReplyLost' }] },
      ],
      end: 'completed',
    };
    const second: ForgedPage = { rows: [{ id: 'd', attempts: ['cancelled'] }], end: 'completed' };
    const retry: ForgedPage = {
      rows: [
        { id: 'b', attempts: ['timedOut'] },
        { id: 'c', attempts: [] },
      ],
      end: 'completed',
    };
    const batch = new ForgedBatch([
      [first, second],
      [retry, ok('d')],
    ]);
    await exportResults(options(batch));
    const read = await lines();
    expect(read.map(({ id, status, error, url }) => [id, status, error?.type ?? url])).toEqual([
      ['a', 'completed', 'http://open-webui.test/c/chat-of-a'],
      ['b', 'failed', 'TimedOut'],
      ['c', 'failed', 'ReplyLost'],
      ['d', 'completed', 'http://open-webui.test/c/chat-of-d'],
    ]);
    expect(read[1]?.url).toBe('http://x/c/of-b');
  });

  it('tell of rows whose page ended without them', async () => {
    const cancelled: ForgedPage = { rows: [{ id: 'a', attempts: [] }], end: 'completed' };
    const terminated: ForgedPage = { rows: [{ id: 'b', attempts: [] }], end: 'terminated' };
    await exportResults(options(new ForgedBatch([[cancelled, terminated]])));
    expect((await lines()).map(({ status, error }) => [status, error?.type])).toEqual([
      ['cancelled', 'Cancelled'],
      ['cancelled', 'Cancelled'],
    ]);
  });

  it('hold the JSON of a reply, also where the outcome has lost it', async () => {
    const input = { replyFormat: 'json' as const };
    const page: ForgedPage = {
      rows: [
        { id: 'a', attempts: [{ ok: { json: { city: 'Paris' } } }], input },
        { id: 'b', attempts: [{ ok: { content: '```json\n{"city":"Rome"}\n```' } }], input },
      ],
    };
    await exportResults(options(new ForgedBatch([[page]])));
    const read = await lines();
    expect(read.map(({ json }) => json)).toEqual([{ city: 'Paris' }, { city: 'Rome' }]);
    expect(read[0]).not.toHaveProperty('content');
  });

  it('say so where a text is cut and nobody can be asked for the rest', async () => {
    const page: ForgedPage = { rows: [{ id: 'a', attempts: [{ ok: { content: 'Begin', truncated: true } }] }] };
    const summary = await exportResults(options(new ForgedBatch([[page]])));
    expect(summary.incomplete).toBe(1);
    const note = 'The text is cut: no connection to Open WebUI is set up here';
    expect(await lines()).toMatchObject([{ content: 'Begin', truncated: true, note }]);
  });

  it('leave no error file where no row has an error, not even an old one', async () => {
    await exportResults(options(new ForgedBatch([[{ rows: [{ id: 'a', attempts: ['cancelled'] }] }]])));
    expect(await readdir(directory)).toEqual(['results.jsonl', 'results.jsonl.errors.jsonl']);
    expect(await exportResults(options(new ForgedBatch([[ok('a')]])))).not.toHaveProperty('errors');
    expect(await readdir(directory)).toEqual(['results.jsonl']);
  });

  it('go to standard output with "-", and to no file', async () => {
    let written = '';
    const standardOutput = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        written += chunk.toString();
        done();
      },
    });
    await exportResults(options(new ForgedBatch([[ok('a', 'b')]]), { out: '-', standardOutput }));
    expect(written.split('\n')).toHaveLength(3);
    expect(await readdir(directory)).toEqual([]);
  });

  it('tell of a standard output that takes no more', async () => {
    const standardOutput = new Writable({
      write: (_chunk, _encoding, done) => done(Object.assign(new Error('full'), { code: 'ENOSPC' })),
    });
    const writing = exportResults(options(new ForgedBatch([[ok('a')]]), { out: '-', standardOutput }));
    await expect(writing).rejects.toThrow(/^standard output cannot be written, the disk is full: .*\.$/);
  });
});

describe('what is named for results', () => {
  it('is written into where it is a pipe, without anything beside it', async () => {
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const reading = readFile(pipe, 'utf8');
    const summary = await exportResults(options(new ForgedBatch([[{ rows: failed }]]), { out: pipe }));
    expect((await reading).split('\n')).toHaveLength(2);
    expect(summary).not.toHaveProperty('errors');
    expect(await readdir(directory)).toEqual(['pipe']);
  });

  it('is given up where nobody reads the pipe and the person interrupts', async () => {
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const signal = AbortSignal.timeout(50);
    await expect(exportResults(options(new ForgedBatch([[ok('a')]]), { out: pipe, signal }))).rejects.toThrow(/abort/i);
  });

  it('is told in one sentence where it is a device that takes no more', async () => {
    const writing = exportResults(options(new ForgedBatch([[ok('a')]]), { out: '/dev/full' }));
    await expect(writing).rejects.toThrow(/^\/dev\/full cannot be written, the disk is full/);
  });

  it('stays a link, and the file that it names is replaced', async () => {
    const link = join(directory, 'latest');
    await symlink('results.jsonl', link);
    const { errors } = await exportResults(options(new ForgedBatch([[{ rows: failed }]]), { out: link }));
    expect(await lines()).toHaveLength(1);
    expect(await readlink(link)).toBe('results.jsonl');
    expect(errors).toBe(join(directory, 'results.jsonl.errors.jsonl'));
  });

  const failed: ForgedPage['rows'] = [{ id: 'a', attempts: [{ failed: 'ReplyFailed' }] }];
});

describe('results as CSV', () => {
  const HIDDEN = [' =1+1', '\u00a0=1', '\ufeff=1', '\n=1', '\u200b@A1', '\uff1d1', '\uff0b1', '\uff0d1', '\uff20A1'];
  const FORMULAS = ['=1+1', '+1', '-1', '@A1', '\tx', '\rx', ...HIDDEN];
  const batch = () =>
    new ForgedBatch([
      [{ rows: FORMULAS.map((content, index) => ({ id: `r${index}`, attempts: [{ ok: { content } }] })) }],
    ]);

  it('have formulas defused, wherever they stand', async () => {
    await exportResults(options(batch(), { format: 'csv' }));
    const text = await readFile(join(directory, 'results.jsonl'), 'utf8');
    expect(text.split('\n')[0]).toMatch(/^id,status,content,chatId,url,model,promptTokens/);
    for (const content of FORMULAS) expect(text).toContain(`'${content}`);
    expect(text).not.toMatch(/,"?[=+@\t\r]/);
  });

  it('begin with a byte order mark where that is asked for', async () => {
    await exportResults(options(batch(), { format: 'csv', byteOrderMark: true }));
    expect(await readFile(join(directory, 'results.jsonl'), 'utf8')).toMatch(/^\ufeffid,status/);
  });

  it('are as the model wrote them where that is asked for', async () => {
    await exportResults(options(batch(), { format: 'csv', plainCells: true }));
    expect(await readFile(join(directory, 'results.jsonl'), 'utf8')).toContain(',=1+1,');
  });
});

describe('an export that breaks off', () => {
  const pages = (): ForgedPage[] => [
    ok('a', 'b'),
    { rows: [{ id: 'c', attempts: ['timedOut'] }], end: 'completed' },
    ok('d'),
  ];
  const whole = ['a', 'b', 'c', 'd'];

  /** A disk that takes so many bytes of results. */
  const smallDisk = (bytes: number): FileSystem => ({
    rename,
    open: async (path, flags) => {
      const handle = await open(path, flags);
      const write = handle.writeFile.bind(handle);
      handle.writeFile = async (data, more) => {
        bytes -= String(data).length;
        if (bytes < 0) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
        return write(data, more);
      };
      return handle;
    },
  });

  it('says in one sentence that the disk is full, and leaves nothing at the final name', async () => {
    const writing = exportResults(options(new ForgedBatch([pages()]), { fileSystem: smallDisk(1_500) }));
    await expect(writing).rejects.toThrow(ResultsFileError);
    await expect(writing).rejects.toThrow(
      /^\S+results\.jsonl cannot be written, the disk is full: make room, [^.]*\. What is written so far stands in \S+results\.jsonl\.partial, \S+results\.jsonl\.errors\.jsonl\.partial, \S+results\.jsonl\.checkpoint; delete these to begin anew\.$/,
    );
    expect(await readdir(directory)).not.toContain('results.jsonl');
    expect(await readdir(directory)).not.toContain('results.jsonl.errors.jsonl');
  });

  it.each([0, 300, 700, 1_200, 1_700, 2_100, 2_500])('goes on where it was (%d bytes)', async (bytes) => {
    const batch = new ForgedBatch([pages()]);
    await exportResults(options(batch, { fileSystem: smallDisk(bytes) })).catch(() => undefined);
    const { resumedAfter } = await exportResults(options(batch));
    expect(resumedAfter).toBeLessThan(4);
    expect((await lines()).map(({ id }) => id)).toEqual(whole);
    expect((await lines('results.jsonl.errors.jsonl')).map(({ id }) => id)).toEqual(['c']);
    expect((await readdir(directory)).sort()).toEqual(['results.jsonl', 'results.jsonl.errors.jsonl']);
  });

  it('does not read again what it has, and not take over what may have changed', async () => {
    const batch = new ForgedBatch([pages()]);
    let rows = 0;
    const stop = new AbortController();
    const broken = exportResults(options(batch, { signal: stop.signal }), () => {
      if (++rows === 2) stop.abort();
    });
    await expect(broken).rejects.toThrow(/abort/i);
    batch.asked.length = 0;
    expect((await exportResults(options(batch))).resumedAfter).toBe(3);
    expect(batch.asked).toEqual([`batch-${KEY}-page-2`]);
    expect((await lines()).map(({ id }) => id)).toEqual(whole);

    const running = new ForgedBatch([[{ rows: [{ id: 'a', attempts: ['open'] }] }, ok('b')]]);
    const output = join(directory, 'running.jsonl');
    await exportResults(options(running, { out: output, fileSystem: smallDisk(100) })).catch(() => undefined);
    expect((await exportResults(options(running, { out: output }))).resumedAfter).toBe(0);
  });

  describe('with a text that is cut, or a row past retention', () => {
    const cut: ForgedPage = { rows: [{ id: 'a', attempts: [{ ok: { truncated: true } }] }], end: 'completed' };
    const rows = async function* (): AsyncGenerator<BatchRow> {
      for (const id of ['a', 'b']) yield { id, input: { prompt: `About ${id}` } };
    };
    const breakOff = (batch: ForgedBatch, more: Partial<ExportOptions>) =>
      exportResults(options(batch, { fileSystem: smallDisk(850), rows, ...more })).catch(() => undefined);

    it.each([
      ['cut', cut],
      ['forgotten', undefined],
    ])('goes on as the same command, and begins anew with other connections (%s)', async (_what, page) => {
      const batch = new ForgedBatch([[page, ok('b')]], 2);
      await breakOff(batch, { connectionsAre: 'none' });
      const onDiscarded = jest.fn();
      const same = await exportResults(options(batch, { rows, connectionsAre: 'none', onDiscarded }));
      expect(same.resumedAfter).toBe(1);
      expect(onDiscarded).not.toHaveBeenCalled();
      await breakOff(batch, { connectionsAre: 'none' });
      const corrected = await exportResults(options(batch, { rows, connectionsAre: 'one', onDiscarded }));
      expect(corrected.resumedAfter).toBe(0);
      expect(onDiscarded).toHaveBeenCalledTimes(1);
    });

    it('goes on with other connections where the whole text was found', async () => {
      const batch = new ForgedBatch([[cut, ok('b')]]);
      await breakOff(batch, { connectionsAre: 'one', connectionOf: () => withReply('Another reply') });
      expect((await exportResults(options(batch, { rows, connectionsAre: 'none' }))).resumedAfter).toBe(1);
      expect((await lines())[0]).toMatchObject({
        content: 'Another reply',
        note: expect.stringMatching(/changed/) as string,
      });
    });
  });

  it('does not go on with other rows, and says that it gives up what was there', async () => {
    const batch = new ForgedBatch([pages()]);
    const breakOff = () => exportResults(options(batch, { fileSystem: smallDisk(1_700) })).catch(() => undefined);
    const onDiscarded = jest.fn();
    await breakOff();
    expect((await exportResults(options(batch, { rowsAre: 'others', onDiscarded }))).resumedAfter).toBe(0);
    expect(onDiscarded).toHaveBeenCalledTimes(1);
    expect(onDiscarded.mock.calls[0]).toEqual([
      expect.stringMatching(/^What another export had left of .* begins anew/),
    ]);
    await breakOff();
    expect((await exportResults(options(batch, { onDiscarded }))).resumedAfter).toBeGreaterThan(0);
    expect(onDiscarded).toHaveBeenCalledTimes(1);
  });

  it('is left alone by one of a batch that there is not', async () => {
    const batch = new ForgedBatch([pages()]);
    await exportResults(options(batch, { fileSystem: smallDisk(1_700) })).catch(() => undefined);
    const mistyped = exportResults(options(batch, { batchKey: 'nihgt' }));
    await expect(mistyped).rejects.toMatchObject({ type: 'NotFound' });
    expect((await exportResults(options(batch))).resumedAfter).toBeGreaterThan(0);
  });

  it('refuses a directory and a place that is not there, before a row is read', async () => {
    const batch = new ForgedBatch([pages()]);
    await expect(exportResults(options(batch, { out: directory }))).rejects.toThrow(
      /it is a directory: name a file\.$/,
    );
    const nowhere = join(directory, 'nowhere', 'results.jsonl');
    await expect(exportResults(options(batch, { out: nowhere }))).rejects.toThrow(/its directory does not exist/);
    expect(batch.asked).toEqual([]);
  });
});

describe('a batch past retention', () => {
  const file = (...ids: string[]) =>
    async function* (): AsyncGenerator<BatchRow> {
      for (const id of ids) yield { id, input: { prompt: `About ${id}`, model: 'model-a' } };
    };

  it('wants its file', async () => {
    await expect(exportResults(options(new ForgedBatch([])))).rejects.toMatchObject({ type: 'NotFound' });
    const batch = new ForgedBatch([[ok('a'), undefined]]);
    await expect(exportResults(options(batch))).rejects.toThrow(
      /Page 1 of batch "night" is past .* give the batch's file/,
    );
  });

  it('has its rows from the file, in their places, and says plainly that nothing is known of them', async () => {
    const batch = new ForgedBatch([[undefined, ok('c', 'd'), undefined]], 5);
    const summary = await exportResults(options(batch, { rows: file('a', 'b', 'c', 'd', 'e') }));
    expect(summary).toMatchObject({ rows: 5, completed: 2, unknown: 3 });
    const read = await lines();
    expect(read.map(({ id, status }) => `${id} ${status}`)).toEqual([
      ...['a unknown', 'b unknown', 'c completed', 'd completed', 'e unknown'],
    ]);
    expect(read[0]?.note).toBe("Its run is past Temporal's retention, and no connection to Open WebUI is set up here");
  });

  it.each([
    ['of other rows', [undefined, ok('c')], ['x', 'y'], /does not have row "c" in that place/],
    ['with fewer rows', [undefined, ok('c')], ['c'], /there are 1 rows, and the batch has 2/],
    ['with another row before', [ok('c'), undefined], ['x', 'a'], /does not have row "c" in that place/],
    ['with another row in between', [ok('b', 'c'), undefined], ['x', 'c', 'd'], /does not have row "b" in that place/],
    ['with another row after', [undefined, ok('b', 'c')], ['a', 'b', 'x'], /does not have row "c" in that place/],
    [
      'with too few rows at the end',
      [ok('a'), undefined, ok('c')],
      ['a', 'c'],
      /there are 2 rows, and the batch has 3/,
    ],
    ['that has a row twice in a gap', [undefined, ok('c')], ['a', 'a', 'c'], /has the row "a" twice/],
    ['that has a row of the next page twice', [undefined, ok('b', 'c')], ['b', 'b', 'c'], /has the row "b" twice/],
  ])('refuses a file %s', async (_what, pages, ids, reason) => {
    const rows = pages.reduce((sum, page) => sum + (page?.rows.length ?? 1), 0);
    const exporting = exportResults(options(new ForgedBatch([pages], rows), { rows: file(...ids) }));
    await expect(exporting).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringMatching(reason) as string,
    });
  });

  it('passes over rows of the file that the batch left out, and takes those that stand among forgotten ones', async () => {
    const batch = new ForgedBatch([[ok('a', 'b'), undefined, ok('d', 'e'), ok('f')]], 6);
    const rows = file('bad', 'a', 'worse', 'b', 'c', 'bad too', 'd', 'other', 'e', 'f', 'last');
    const summary = await exportResults(options(batch, { rows }));
    expect(summary).toMatchObject({ rows: 7, completed: 5, unknown: 2 });
    expect((await lines()).map(({ id }) => id)).toEqual(['a', 'b', 'c', 'bad too', 'd', 'e', 'f']);
  });

  it('reads its file only where a page is gone', async () => {
    const rows = jest.fn(file('a', 'b'));
    await exportResults(options(new ForgedBatch([[ok('a'), ok('b')]]), { rows }));
    expect(rows).not.toHaveBeenCalled();
    await exportResults(options(new ForgedBatch([[ok('a'), undefined]], 2), { rows }));
    expect(rows).toHaveBeenCalledTimes(1);
  });

  it('is given up where the person interrupts while rows of the file are passed over', async () => {
    const stop = new AbortController();
    const rows = async function* (): AsyncGenerator<BatchRow> {
      for (let row = 0; ; row++) {
        if (row === 10) stop.abort();
        yield { id: `left-out-${row}`, input: {} };
      }
    };
    const batch = new ForgedBatch([[ok('a'), undefined]], 2);
    await expect(exportResults(options(batch, { rows, signal: stop.signal }))).rejects.toThrow(/abort/i);
  });

  it('goes on in its file behind the row that was written last', async () => {
    const batch = new ForgedBatch([[ok('a'), undefined, ok('d')]], 3);
    const reader = () => new BatchReader(batch.client, KEY, { rows: file('left out', 'a', 'b', 'c', 'd') });
    const pages: ResultPage[] = [];
    for await (const page of reader().pages()) pages.push(page);
    for (const [index, { after }] of pages.entries()) {
      const rest: ResultPage[] = [];
      for await (const page of reader().pages(after)) rest.push(page);
      expect(rest).toEqual(pages.slice(index + 1));
    }
    expect(pages.flatMap(({ rows }) => rows.map(({ id }) => id))).toEqual(['a', 'b', 'c', 'd']);
  });

  it('refuses a file that has fewer rows before the one that was written last', async () => {
    const reader = new BatchReader(new ForgedBatch([[undefined]], 4).client, KEY, { rows: file('b', 'c', 'd') });
    const pages = reader.pages({ page: 0, rows: 2, last: 'b', later: [] });
    await expect(pages.next()).rejects.toThrow(/as it has 1 rows up to "b", and the batch has 2: give that one/);
  });

  it('says so where a row was run again that the file does not have there', async () => {
    const batch = new ForgedBatch([[undefined], [ok('z')]], 1);
    await expect(exportResults(options(batch, { rows: file('a') }))).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringMatching(/has run the row "z" again in round 1, .*: give the file/) as string,
    });
  });

  it('has the folder of its chats from a page that is there', async () => {
    const folder_id = '2a0f4ad2-4f2e-4b39-8f53-0f6f5c1f2b11';
    const kept = { ...ok('b'), common: { model: 'model-a', folder_id } };
    const reader = new BatchReader(new ForgedBatch([[undefined, kept]], 2).client, KEY, { rows: file('a', 'b') });
    const folders: unknown[] = [];
    for await (const { rows } of reader.pages()) folders.push(...rows.map(({ input }) => input.folder_id));
    expect(folders).toEqual([folder_id, folder_id]);
  });
});

it('hands rows on a page at a time, however many there are', async () => {
  const ids = Array.from({ length: 50 }, () => randomUUID());
  const pages = Array.from({ length: 40 }, (_each, page) => ok(...ids.map((id) => `${page}-${id}`)));
  const reader = new BatchReader(new ForgedBatch([pages]).client, KEY);
  let rows = 0;
  for await (const page of reader.pages()) {
    expect(page.rows.length).toBeLessThanOrEqual(50);
    rows += page.rows.length;
  }
  expect(rows).toBe(2_000);
});

it('knows all files that it may replace or remove', () => {
  expect(filesOf('q.jsonl')).toEqual(
    ['q.jsonl', 'q.jsonl.errors.jsonl'].flatMap((path) => [
      path,
      `${path}.partial`,
      `${path}.checkpoint`,
      `${path}.checkpoint.new`,
      `${path}.lock`,
    ]),
  );
});

it('names the error file after the whole name of the results: two formats do not share one', () => {
  expect(errorsPathOf('a/results.jsonl')).toBe('a/results.jsonl.errors.jsonl');
  expect(errorsPathOf('results.csv')).toBe('results.csv.errors.jsonl');
});
