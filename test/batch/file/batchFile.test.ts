import { gzipSync } from 'node:zlib';
import { MOST_PAGE_BYTES, PAGE_BYTES } from '../../../src/batchContract';
import { modelsByConnection } from '../../../src/batch/file/batchFile';
import { Template } from '../../../src/batch/file/template';
import { jsonl, readBatch, refusalOf } from './readBatch';

const rows = (count: number, prompt = 'Hi'): unknown[] =>
  Array.from({ length: count }, (_, index) => ({ id: `r${index + 1}`, prompt }));

describe('a batch file', () => {
  it('is checked, then read in pages', async () => {
    const read = await readBatch(jsonl(...rows(450)));
    expect(read).toMatchObject({ rows: 450, problems: 0, told: [], pageRows: [200, 200, 50] });
    expect(read.pages.map((page) => page.length)).toEqual([200, 200, 50]);
    expect(read.all[200]).toEqual({ id: 'r201', input: { prompt: 'Hi' } });
  });

  it('has pages that are never larger than a page may be, and as full as they can be', async () => {
    const { pages, pageRows } = await readBatch(jsonl(...rows(30, 'é'.repeat(12_000))));
    const bytes = pages.map((page) => Buffer.byteLength(JSON.stringify(page)));
    expect(Math.max(...bytes)).toBeLessThanOrEqual(PAGE_BYTES);
    expect(pageRows).toEqual([5, 5, 5, 5, 5, 5]);
    expect(pages.map((page) => page.length)).toEqual(pageRows);
  });

  it('gives a row that is larger than pages are a page of its own', async () => {
    const large = { id: 'large', prompt: 'x'.repeat(5 * PAGE_BYTES) };
    const { pageRows } = await readBatch(jsonl({ id: 'a', prompt: 'Hi' }, large, { id: 'b', prompt: 'Hi' }));
    expect(pageRows).toEqual([1, 1, 1]);
  });

  it('is the same batch whatever its form, and another where rows, their order or the common options differ', async () => {
    const content = jsonl(...rows(2));
    const { digest } = await readBatch(content);
    const same = [gzipSync(content), `\ufeff${content.replaceAll('\n', '\r\n\n')}`, 'id,prompt\nr1,Hi\nr2,Hi\n'];
    for (const form of same) expect((await readBatch(form)).digest).toBe(digest);
    const other = [jsonl(...rows(2).reverse()), jsonl(...rows(3))];
    for (const form of other) expect((await readBatch(form)).digest).not.toBe(digest);
    expect((await readBatch(content, { common: { model: 'model-b' } })).digest).not.toBe(digest);
    const ordered = await readBatch(content, { common: { model: 'model-a', system: 'Be brief' } });
    expect((await readBatch(content, { common: { system: 'Be brief', model: 'model-a' } })).digest).toBe(
      ordered.digest,
    );
  });

  it('tells the models by connection, with the first line that names each', async () => {
    const content = jsonl(
      { prompt: '1' },
      { prompt: '2', model: 'm' },
      { prompt: '3', connection: 'c' },
      { prompt: '4' },
    );
    const { models } = await readBatch(content);
    expect([...(models.get('default') ?? [])]).toEqual([
      ['model-a', 1],
      ['m', 2],
    ]);
    expect(modelsByConnection(models)).toEqual({ default: ['model-a', 'm'], c: ['model-a'] });
  });

  it('names no more models than a worker can be asked', async () => {
    const many = Array.from({ length: 501 }, (_, index) => ({ prompt: 'Hi', model: `m${index}` }));
    expect(await refusalOf(jsonl(...many))).toBe(
      'rows names more than 500 different models, in line 501 "m500": correct what stands in model.',
    );
    const { told } = await readBatch(jsonl({ prompt: 'Hi', model: 'm'.repeat(257) }));
    expect(told).toEqual(['line 1: The model has 257 characters, more than 256; correct its name.']);
  });

  it('goes on after bad rows, which are told with their lines', async () => {
    const content = [
      '{"id": "a", "prompt": "Hi"}',
      '',
      'null',
      '[1]',
      '{"id": ',
      '{"id": "b"}',
      '{"id": "c", "prompt": "Hi"}',
    ];
    const { told, all, ...checked } = await readBatch(content.join('\n'));
    expect(all.map(({ id }) => id)).toEqual(['a', 'c']);
    expect(checked).toMatchObject({ rows: 2, problems: 4, pageRows: [2] });
    expect(told).toEqual([
      'line 3: Is null, not a JSON object; write one object on each line.',
      'line 4: Is a list, not a JSON object; write one object on each line.',
      expect.stringMatching(/^line 5: Is not JSON \(.*\); write one whole object on each line\.$/),
      'line 6: The input has no prompt; give prompt, or messages that end with one of role user.',
    ]);
  });

  it('must hold something', async () => {
    expect(await refusalOf('\n \r\n')).toBe('rows holds only blanks: give at least one row.');
    expect(await refusalOf('\ufeff')).toBe('rows holds only blanks: give at least one row.');
    expect(await refusalOf(gzipSync(''))).toBe('rows holds only blanks: give at least one row.');
    expect(await refusalOf('id,prompt\n\n,\n')).toBe('rows has no row after its column names: give one.');
  });

  it('must not be a JSON array', async () => {
    const sentence = `is a JSON array: write each of its objects on a line of its own, as "jq -c '.[]'" does.`;
    expect(await refusalOf('\n[{"id": 1}]')).toBe(`rows ${sentence}`);
    expect(await refusalOf('[\n{"id": 1}\n]', {}, 'rows.json')).toBe(`rows.json ${sentence}`);
  });

  it('is JSONL or CSV by its name, else by how it begins, unless that is said', async () => {
    expect((await readBatch('null\n{"prompt": "Hi"}', {}, 'rows.ndjson.gz')).rows).toBe(1);
    expect((await readBatch('{"a": 1},prompt\n1,2', {}, 'rows.CSV')).rows).toBe(1);
    expect((await readBatch('prompt\n1')).rows).toBe(1);
    expect((await readBatch('null', { format: 'jsonl' })).told).toEqual([expect.stringMatching('Is null')]);
  });

  it('must not repeat an id, in whatever form', async () => {
    const content = jsonl(
      { id: '1', prompt: 'a' },
      { id: 1, prompt: 'b' },
      { custom_id: '1', prompt: 'c' },
      { prompt: 'd' },
    );
    const { told, all } = await readBatch(`\n${content}${jsonl({ id: 'row-4', prompt: 'e' })}`);
    expect(told).toEqual([
      'line 3: The row has the id "1" of line 2; give each row an id of its own.',
      'line 4: The row has the id "1" of line 2; give each row an id of its own.',
      'line 6: The row has the id "row-4" of line 5; give each row an id of its own.',
    ]);
    expect(all.map(({ id }) => id)).toEqual(['1', 'row-4']);
  });

  it('goes on in a chat once: its rows run at once', async () => {
    const chat = { id: '00000000-0000-4000-8000-00000000000a' };
    const again = { id: chat.id.toUpperCase() };
    const content = jsonl({ prompt: '1', chat }, { prompt: '2', chat: again }, { prompt: '3', chat, connection: 'c' });
    const { told, rows: good } = await readBatch(content);
    expect(told).toEqual([
      'line 2: The row goes on in the chat of line 1; rows run at once, so give each a chat of its own or none.',
    ]);
    expect(good).toBe(2);
  });

  it('has no row that fits into no page', async () => {
    const params = { logit_bias: 'x'.repeat(MOST_PAGE_BYTES - 10 * 1024) };
    const { told } = await readBatch(jsonl({ id: 'a', prompt: 'Hi', params }));
    expect(told).toEqual([
      expect.stringMatching(
        /^line 1: The row has 10\d{5} bytes as JSON, more than the 1032192 that it may have; shorten it/,
      ),
    ]);
    const huge = [`{"id": "a", "prompt": "${'x'.repeat(5_000_000)}"}`, '{"id": "b", "prompt": "Hi"}'].join('\n');
    const read = await readBatch(huge);
    expect(read.told).toEqual([
      'line 1: The row has 5000025 characters, more than the 4194304 that it may have; shorten it, or upload its text to Open WebUI as a file.',
    ]);
    expect(read.all.map(({ id }) => id)).toEqual(['b']);
  });

  it('has no text that databases refuse, and nothing nested without end', async () => {
    const deep = `{"prompt": "Hi", "params": {"a": ${'['.repeat(200_000)}${']'.repeat(200_000)}}}`;
    const half = '{"prompt": "a \\ud800 b"}\n{"prompt": "\\\\ud800 and \\ud83d\\ude00"}\n';
    const { told, rows: good } = await readBatch(`${jsonl({ prompt: 'a\0' }, { prompt: '\\u0000' })}${half}${deep}`);
    expect(told).toEqual([
      'line 1: The row holds a NUL character, which databases refuse; remove it.',
      'line 3: The row holds half a character (a lone surrogate); remove it.',
      'line 5: The row is nested too deeply; flatten its values.',
    ]);
    expect(good).toBe(2);
  });

  it('may hold a NUL character where JSON may not: its place is told', async () => {
    const { told, all } = await readBatch('{"prompt": "Hi"}\n{"prompt": "H\0i"}\n');
    expect(told).toEqual(['line 2: The row holds a NUL character in column 14 of its line; remove it.']);
    expect(all).toHaveLength(1);
  });

  it('has no value nested without end for a template', async () => {
    const deep = `{"text": ${'['.repeat(200_000)}${']'.repeat(200_000)}}\n{"text": "b"}`;
    const { told, all } = await readBatch(deep, { template: new Template('{{text}}') });
    expect(told).toEqual(['line 1: The row is nested too deeply; flatten its values.']);
    expect(all).toHaveLength(1);
  });

  it('has common options that are right, which is said once', async () => {
    const refused = (common: object): Promise<string> => refusalOf(jsonl(...rows(2)), { common });
    const begin = 'The options for all rows of rows cannot be taken:';
    expect(await refused({ tags: 5 })).toBe(`${begin} Input field tags must be a list.`);
    expect(await refused({ model: 'a', models: ['b'] })).toMatch(/: Input fields model and models name different/);
    expect(await refused({ redrive: { since: 1 } })).toBe(
      `${begin} redrive is for the product itself to set; remove it.`,
    );
    expect(await refused({ params: { seed: 2 ** 60 } })).toMatch(/: In params stands a whole number/);
    let deep: unknown = 1;
    for (let depth = 0; depth < 200_000; depth++) deep = [deep];
    expect(await refused({ params: { deep } })).toBe(`${begin} They are nested too deeply; flatten their values.`);
  });

  it('may have common messages that its rows go on with, or replace', async () => {
    const example = [
      { role: 'user' as const, content: 'A' },
      { role: 'assistant' as const, content: 'B' },
    ];
    const common = { model: 'm', messages: example };
    expect((await readBatch(jsonl({ prompt: 'Hi' }), { common })).problems).toBe(0);
    const whole = { model: 'm', messages: example.slice(0, 1) };
    expect((await readBatch(jsonl({ id: 'a' }, { messages: [], prompt: 'Hi' }), { common: whole })).problems).toBe(0);
  });

  it('has common options without text that databases refuse', async () => {
    expect(await refusalOf(jsonl(...rows(1)), { common: { model: 'm', system: 'a\ud800' } })).toBe(
      'The options for all rows of rows hold half a character (a lone surrogate); remove it.',
    );
    expect(await refusalOf(jsonl(...rows(1)), { common: { model: 'm', system: 'a\0' } })).toMatch(
      /hold a NUL character/,
    );
  });

  it('has half characters in no field', async () => {
    const half = '\ud800';
    const fields = [
      { system: half, prompt: 'Hi' },
      { title: half, prompt: 'Hi' },
      { messages: [{ role: 'user', content: half }] },
      { prompt: 'Hi', params: { [half]: 1 } },
    ];
    const { told } = await readBatch(jsonl(...fields));
    expect(told).toEqual(
      fields.map((_, i) => `line ${i + 1}: The row holds half a character (a lone surrogate); remove it.`),
    );
  });

  it('has common options that fit beside a page', async () => {
    expect(await refusalOf(jsonl(...rows(1)), { common: { model: 'm', system: 'x'.repeat(300_000) } })).toMatch(
      /^The options for all rows of rows have 300\d{3} bytes as JSON, more than the 262144 that they may have/,
    );
  });
});

describe('a CSV', () => {
  it('gives fields of the input in its columns; empty cells say nothing', async () => {
    const csv = [
      'custom_id,prompt,model,system,title,connection,tags,params,chat,folder_id,requireAllFiles,weight',
      'a,"Hi, you",m,Be brief,T,c,"x, y","{""temperature"": 0}",,,true,5',
      'b,Hi,,,,,,,,,,',
    ];
    const { all, unusedColumns } = await readBatch(csv.join('\n'));
    expect(all).toEqual([
      {
        id: 'a',
        input: {
          prompt: 'Hi, you',
          model: 'm',
          system: 'Be brief',
          title: 'T',
          connection: 'c',
          tags: ['x', 'y'],
          params: { temperature: 0 },
          requireAllFiles: true,
        },
      },
      { id: 'b', input: { prompt: 'Hi' } },
    ]);
    expect(unusedColumns).toEqual(['weight']);
  });

  it('has problems in columns', async () => {
    const csv = ['id;prompt;params;folder_id;redrive', 'a;"two', 'lines";{0};;', 'a;Hi;;here;', 'c;Hi;;;x', ' ;Hi;;;'];
    const { told } = await readBatch(csv.join('\r\n'));
    expect(told).toEqual([
      'line 2, column "params": The cell is not JSON, as params needs it; write it like {"temperature": 0}, [1, 2], 5 or true.',
      'line 4, column "id": The row has the id "a" of line 2; give each row an id of its own.',
      'line 5, column "redrive": The row gives redrive, which rows may not set; remove it.',
      'line 6, column "id": The id is blank; give one, or leave it out in all rows.',
    ]);
  });

  it('has a cell for each column, and quotes where they belong', async () => {
    const csv = ['id,prompt', 'a,Hi,there', 'b', 'c,"Hi" there', 'd,Hi', 'e, "Hi"'];
    const { told, all } = await readBatch(csv.join('\n'));
    expect(told).toEqual([
      'line 2: The row has 3 cells for 2 columns; put quotes around cells that hold delimiters or line breaks.',
      'line 3: The row has 1 cell for 2 columns; put quotes around cells that hold delimiters or line breaks.',
      'line 4, column "prompt": The cell goes on after its closing quote; double the quotes within it.',
      'line 6, column "prompt": The cell has blanks before its opening quote; remove them.',
    ]);
    expect(all).toEqual([{ id: 'd', input: { prompt: 'Hi' } }]);
  });

  it('says over which lines a bad row runs, as a quote that is not closed may have swallowed others', async () => {
    const csv = ['id,prompt', 'a,"Hi', 'b,Hi', 'c,"there"', 'd,"Hi', 'e","Hi"', 'f,Hi'];
    const { told, all } = await readBatch(csv.join('\n'));
    const look = 'which are all taken for this row: look for a quote in them that is not closed.';
    expect(told).toEqual([
      `line 2, column "prompt": The cell goes on after its closing quote; double the quotes within it. It runs over the lines 2 to 4, ${look}`,
      `line 5: The row has 3 cells for 2 columns; put quotes around cells that hold delimiters or line breaks. It runs over the lines 5 to 6, ${look}`,
    ]);
    expect(all.map(({ id }) => id)).toEqual(['f']);
  });

  it('may name its delimiter in the first line, as Excel does', async () => {
    for (const [sep, delimiter] of [
      ['sep=;', ';'],
      ['"sep=;"', ';'],
      ['SEP=|', '|'],
      ['sep=\t', '\t'],
    ] as const) {
      const row = `a${delimiter}Hi, you`;
      const { all, told } = await readBatch(`\ufeff${sep}\r\nid${delimiter}prompt\r\n${row}\r\nb\r\n`);
      expect(all).toEqual([{ id: 'a', input: { prompt: 'Hi, you' } }]);
      expect(told).toEqual([expect.stringMatching(/^line 4: The row has 1 cell for 2 columns/)]);
    }
  });

  it('may be separated by semicolons or tabs', async () => {
    for (const delimiter of [';', '\t']) {
      const { all } = await readBatch(`\ufeffid${delimiter}prompt\r\na${delimiter}Hi, you\r\n`);
      expect(all).toEqual([{ id: 'a', input: { prompt: 'Hi, you' } }]);
    }
  });

  it('must name its columns, each once', async () => {
    expect(await refusalOf('id,prompt, prompt \na,b,c')).toBe(
      'rows, line 1: Two columns are named "prompt"; rename one.',
    );
    expect(await refusalOf('\n,prompt\na,b')).toBe('rows, line 2: Column 1 has no name; name it or remove it.');
  });

  it('must close its quotes', async () => {
    expect(await refusalOf('id,prompt\na,Hi\nb,"Hi\nc,Hi\n')).toBe(
      'rows has a quote in the row that begins in line 3, cell 2, that is never closed, so that the rows after it cannot be told apart: close it, and double quotes within cells.',
    );
  });

  it('says in which column a NUL character stands', async () => {
    const sentence = 'The row holds a NUL character, which databases refuse; remove it.';
    const { told } = await readBatch('other,prompt,params\na\0,Hi,\nb,H\0i,\nc,Hi,"{""a"": ""\\u0000""}"\n');
    expect(told).toEqual([`line 3, column "prompt": ${sentence}`, `line 4, column "params": ${sentence}`]);
    const naming = { template: new Template('{{text}}') };
    expect((await readBatch('other,text\n\0,a\0\n', naming)).told).toEqual([`line 2, column "text": ${sentence}`]);
  });

  it('must have no row of endless length', async () => {
    const content = `id,prompt\r\n\r\na,"Hi\r\nthere"\r\nb,"${'x\r\n'.repeat(1_500_000)}"\r\nc,Hi`;
    expect(await refusalOf(content)).toBe(
      'rows has more than 4194304 bytes in the row that begins in line 5: close the quotes of its cell 2 if they are open, shorten it, or upload its text to Open WebUI as a file.',
    );
  });

  it('must have prompts', async () => {
    expect(await refusalOf('id,text\na,b')).toBe(
      'rows has no column prompt, only id, text: rename one, or give a template such as "{{text}}".',
    );
    expect((await readBatch('id,prompt\na,')).told).toEqual([
      'line 2, column "prompt": The input has no prompt; give prompt, or messages that end with one of role user.',
    ]);
  });
});

describe('a template', () => {
  const template = new Template('Translate {{text}} into {{lang}}');

  it('makes the prompts of a CSV', async () => {
    const read = await readBatch('id,text,lang,title,n\na,{{lang}},French,T,1\n', { template });
    expect(read.all).toEqual([{ id: 'a', input: { title: 'T', prompt: 'Translate {{lang}} into French' } }]);
    expect(read.unusedColumns).toEqual(['n']);
  });

  it('makes the prompts of JSONL, whose rows are data then', async () => {
    const read = await readBatch(jsonl({ id: 'a', text: 5, lang: null, tags: ['t'], n: 1 }, { id: 'b', text: 'x' }), {
      template,
    });
    expect(read.all).toEqual([{ id: 'a', input: { tags: ['t'], prompt: 'Translate 5 into ' } }]);
    expect(read.unusedColumns).toEqual(['n']);
    expect(read.told).toEqual([
      'line 2: The template names lang, which is not there (there are id, text): correct it, or have a column hold {{lang}} where that is to stay as it is.',
    ]);
  });

  it('is given no whole number that would be another one', async () => {
    const content = '{"text": {"order": 12345678901234567890}, "lang": 9007199254740993, "n": 9007199254740993}\n';
    const told = async (text: string): Promise<string[]> =>
      (await readBatch(content, { template: new Template(text) })).told;
    expect(await told('{{lang}}')).toEqual([
      'line 1: In lang stands a whole number that is not kept exactly, 9007199254740992; write it as text, in quotes.',
    ]);
    expect(await told('{{text}}')).toEqual([expect.stringMatching(/^line 1: In text stands a whole number/)]);
  });

  it('may name what request lines have', async () => {
    const naming = new Template('{{method}} {{url}}: {{body}}');
    const content = jsonl({ method: 'GET', url: '/a', body: 'text' }, { method: 'PUT', url: '/b', body: { c: 1 } });
    const { all, told } = await readBatch(content, { template: naming });
    expect(told).toEqual([]);
    expect(all.map(({ input }) => input.prompt)).toEqual(['GET /a: text', 'PUT /b: {"c":1}']);
  });

  it('takes what it names for itself, but not what a chat is known by', async () => {
    const naming = new Template('{{title}} {{files}} {{id}}');
    const { all } = await readBatch('id,title,files\na,T,3\n', { template: naming });
    expect(all).toEqual([{ id: 'a', input: { title: 'T', prompt: 'T 3 a' } }]);
  });

  it('must fit the file', async () => {
    expect(await refusalOf('id,text\na,b', { template })).toBe(
      'The template names lang, which is not there (there are id, text): correct it, or have a column hold {{lang}} where that is to stay as it is.',
    );
    expect(await refusalOf('text,lang,prompt\na,b,c', { template })).toBe(
      'The template does not name the column prompt of rows: name it as {{prompt}}, or rename or remove it.',
    );
    const content = jsonl(
      { text: 'a', lang: 'b', prompt: 'c' },
      { custom_id: 'a', method: 'POST', url: '/v1/chat/completions', body: { messages: [] } },
    );
    expect((await readBatch(content, { template })).told).toEqual([
      'line 1: The row has a prompt, but the template makes it; name it there as {{prompt}}, or remove it.',
      'line 2: The row is an OpenAI request with messages of its own; leave the template out.',
    ]);
  });
});
