/** A batch file: checked as a whole before anything is sent, then read again in pages. Neither holds more than a page of it. */
import { createHash } from 'node:crypto';
import type { BatchRow } from '../../batchContract';
import { MOST_MODELS, ModelSet, type ModelLines } from './modelSet';
import { PageSplit } from './pageSplit';
import { openRecords, type Format, type Records, type RowProblem } from './records';
import { refuseFaulty, unusedNames, type RowOptions } from './row';
import { RowError } from './rowError';
import { RowReader, unwritableIn, type ReadRow } from './rowReader';
import { promptBytesOf } from './served';
import { TemplateError } from './template';
import { FileError, type TextFile } from './textFile';

export { modelsByConnection } from './modelSet';
export type { CommonName, RowProblem } from './records';

export interface BatchFileOptions extends RowOptions {
  /** @default by the file's name, or its first character */
  format?: Format | undefined;
}

export interface CheckedFile {
  /** Good ones. */
  rows: number;
  /** Bad ones. Whether to go on without them is the caller's to decide. */
  problems: number;
  /** Of the good rows in their order, and what they have in common: equal for what is the same batch. */
  digest: string;
  /** First lines of the models that good rows name. */
  models: ModelLines;
  /** The most that a good row tells the model, with what is common, in bytes of UTF-8. */
  longestPrompt: number;
  /** Good rows of each page, in the order of the pages. */
  pageRows: number[];
  /** Columns, or names of values beside a template, that nothing uses; the first few. */
  unusedColumns: string[];
}

/** With a page of rows it has to fit into the start of one workflow. */
const MOST_COMMON_BYTES = 256 * 1024;

export class BatchFile {
  constructor(
    private readonly file: TextFile,
    private readonly options: BatchFileOptions,
  ) {}

  /**
   * Reads all of it once.
   * @param onProblem told of each bad row, in the file's order
   * @throws FileError, TemplateError where it cannot be read as rows at all
   */
  async check(onProblem: (problem: RowProblem) => void): Promise<CheckedFile> {
    const common = this.checkedCommonJson();
    const records = await this.open();
    // Each row is started with what all have in common.
    const commonBytes = Buffer.byteLength(common);
    const digest = createHash('sha256').update(common);
    const models = new ModelSet();
    const pages = new PageSplit();
    const reader = new RowReader(records.format, this.options, records.columns);
    let rows = 0;
    let problems = 0;
    let longestPrompt = 0;
    for await (const record of records.all()) {
      const read = reader.read(record);
      if ('problem' in read) {
        problems++;
        onProblem(read);
        continue;
      }
      rows++;
      digest.update('\n').update(read.json);
      pages.add(read.bytes + commonBytes);
      longestPrompt = Math.max(longestPrompt, promptBytesOf(read.request));
      this.note(read, models);
    }
    if (rows + problems === 0) throw new FileError(`${this.file.name} has no row after its column names: give one.`);
    const { pageRows } = pages;
    const found = { models: models.lines, longestPrompt, pageRows, unusedColumns: reader.unused() };
    return { rows, problems, digest: digest.digest('base64url'), ...found };
  }

  /** The good rows in their order, split in the same way each time. @throws FileError, also where the file was changed */
  async *pages(): AsyncGenerator<BatchRow[]> {
    const records = await this.open();
    const reader = new RowReader(records.format, this.options);
    const split = new PageSplit();
    const commonBytes = Buffer.byteLength(this.commonJson());
    let page: BatchRow[] = [];
    for await (const record of records.all()) {
      const read = reader.read(record);
      if ('problem' in read) continue;
      if (split.add(read.bytes + commonBytes) && page.length > 0) {
        yield page;
        page = [];
      }
      page.push(read.row);
    }
    if (page.length > 0) yield page;
  }

  private async open(): Promise<Records> {
    const { format, template } = this.options;
    const records = await openRecords(this.file, format);
    const { columns } = records;
    if (columns === undefined) return records;
    template?.check(columns);
    if (template !== undefined && columns.includes('prompt') && !template.columns.includes('prompt')) {
      throw new TemplateError(
        `The template does not name the column prompt of ${this.file.name}: name it as {{prompt}}, or rename or remove it.`,
      );
    }
    if (template === undefined && !columns.includes('prompt') && !columns.includes('messages')) {
      const [example = columns[0] ?? ''] = unusedNames(columns);
      throw new FileError(
        `${this.file.name} has no column prompt, only ${columns.join(', ')}: rename one, or give a template such as "{{${example}}}".`,
      );
    }
    return records;
  }

  private note({ line, request }: ReadRow, models: ModelSet): void {
    const { connection, model } = request;
    if (models.add(connection, model, line)) return;
    throw new FileError(
      `${this.file.name} names more than ${MOST_MODELS} different models, in line ${line} "${model}": correct what stands in model.`,
    );
  }

  /** Once, and not with each row. */
  private checkedCommonJson(): string {
    try {
      refuseFaulty(this.options.common);
      return this.commonJson();
    } catch (error) {
      const tooDeep = 'They are nested too deeply; flatten their values.';
      if (!(error instanceof RowError || error instanceof RangeError)) throw error;
      const problem = error instanceof RowError ? error.message : tooDeep;
      throw new FileError(`The options for all rows of ${this.file.name} cannot be taken: ${problem}`);
    }
  }

  private commonJson(): string {
    const json = JSON.stringify(this.options.common, sortedKeys);
    const bytes = Buffer.byteLength(json);
    const unwritable = unwritableIn(json);
    if (unwritable !== undefined) {
      throw new FileError(`The options for all rows of ${this.file.name} hold ${unwritable}; remove it.`);
    }
    if (bytes <= MOST_COMMON_BYTES) return json;
    throw new FileError(
      `The options for all rows of ${this.file.name} have ${bytes} bytes as JSON, more than the ${MOST_COMMON_BYTES} that they may have: shorten them, or give them in the rows.`,
    );
  }
}

/** `line 7, column "lang": …` */
export function whereAndWhat({ line, column, problem }: RowProblem): string {
  return `line ${line}${column === undefined ? '' : `, column "${column}"`}: ${problem}`;
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
