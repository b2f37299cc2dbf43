/** The file of a batch, checked as a whole: what is wrong with it is told row by row, and nothing is sent. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import {
  BatchFile,
  whereAndWhat,
  type CheckedFile,
  type CommonName,
  type RowProblem,
} from '../../batch/file/batchFile';
import type { Served } from '../../batch/file/served';
import type { TextFile } from '../../batch/file/textFile';
import { OrchestrationError } from '../../chatRun';
import { FAILURES } from '../../contract';
import { printJson, tell } from '../output';
import type { Meaning } from './rowOptions';
import type { RunOptions } from './runOptions';

export interface ReadyFile {
  file: BatchFile;
  common: Meaning['common'];
  checked: CheckedFile;
  batchKey: string;
}

/** Problems that are told to a person one by one. */
const MOST_TOLD = 20;
const DIGEST_CHARACTERS = 10;
const LONGEST_NAME = 40;
/** What Temporal appends to the key for each run of a schedule: `-2026-12-24T02:00:00Z`. */
const SCHEDULED_CHARACTERS = 21;

/**
 * Reads all of it once.
 * @param meaning what the options say of all rows
 * @param served what a worker has said after the first reading: of problems, only those that come of it are told then
 * @throws OrchestrationError InvalidInput where rows cannot be carried out; FileError, TemplateError
 */
export async function checkFile(
  text: TextFile,
  options: RunOptions,
  { common, template }: Meaning,
  served?: Served,
): Promise<ReadyFile> {
  const name = nameOf(text.name);
  const ownLength = options.key?.length ?? name.length + 1 + DIGEST_CHARACTERS;
  const batchKeyLength = ownLength + (options.schedule === undefined ? 0 : SCHEDULED_CHARACTERS);
  const file = new BatchFile(text, { common, template, batchKeyLength, format: options.format, served });
  const problems = new Problems(options.json);
  const faults = new OptionFaults(options, common);
  const checked = await file.check(({ unserved, option, ...problem }) => {
    if (served !== undefined && unserved !== true) return;
    if (option === undefined) problems.add(problem);
    else faults.add(option, problem.problem);
  });
  problems.close();
  faults.tell();
  if (served === undefined && checked.unusedColumns.length > 0)
    tell(`Nothing uses the columns ${checked.unusedColumns.join(', ')}`);
  refuse(text.name, checked, options, faults);
  const batchKey = options.key ?? `${name}-${fingerprint(checked.digest, options.folder)}`;
  return { file, checked, batchKey, common };
}

function refuse(
  name: string,
  { rows, problems }: CheckedFile,
  { skipInvalid, json }: RunOptions,
  faults: OptionFaults,
): void {
  if (problems === 0 || (skipInvalid && rows > 0)) return;
  if (json) printJson({ event: 'refused', rows, problems });
  const all =
    rows === 0 ? 'no row that can be carried out' : `${problems} of ${rows + problems} rows that cannot be carried out`;
  const what = faults.rows === problems ? faults.names : 'them';
  const remedy = rows === 0 ? `correct ${what}` : `correct ${what}, or go on without them with --skip-invalid`;
  throw new OrchestrationError(FAILURES.InvalidInput, `${name} has ${all}, and nothing was sent; ${remedy}`);
}

/** Tells a person of the first few, and a program of all. */
class Problems {
  private count = 0;

  constructor(private readonly json: boolean | undefined) {}

  add(problem: RowProblem): void {
    this.count++;
    if (this.json) printJson({ event: 'problem', ...problem });
    else if (this.count <= MOST_TOLD) tell(whereAndWhat(problem));
  }

  close(): void {
    if (!this.json && this.count > MOST_TOLD) tell(`and ${this.count - MOST_TOLD} more`);
  }
}

/** What the options name and the worker does not serve: told once, however many rows take it from there. */
class OptionFaults {
  private readonly found = new Map<CommonName, { rows: number; problem: string }>();

  constructor(
    private readonly options: RunOptions,
    private readonly common: Meaning['common'],
  ) {}

  get rows(): number {
    return [...this.found.values()].reduce((sum, { rows }) => sum + rows, 0);
  }

  /** As the options are called. */
  get names(): string {
    return [...this.found.keys()].map((option) => `--${option}`).join(' and ');
  }

  add(option: CommonName, problem: string): void {
    const rows = (this.found.get(option)?.rows ?? 0) + 1;
    this.found.set(option, { rows, problem });
  }

  tell(): void {
    for (const [option, { rows, problem }] of this.found) {
      if (this.options.json) printJson({ event: 'problem', option, rows, problem });
      else tell(`${this.given(option)}, for ${rows} ${rows === 1 ? 'row' : 'rows'}: ${problem}`);
    }
  }

  private given(option: CommonName): string {
    if (this.options[option] !== undefined) return `--${option} ${this.options[option]}`;
    const isOfInput = this.common[option] !== undefined || (option === 'model' && this.common.models !== undefined);
    return isOfInput ? `${option} of --input` : `without --${option}`;
  }
}

/** What the key of a batch begins with where none is given. */
export function nameOf(file: string): string {
  const stem = basename(file).replace(/\.(gz|jsonl|ndjson|json|csv|tsv|txt)\b/g, '');
  const name = stem.replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^-+|-+$/g, '');
  // With a digest behind it, it would read like the id of a workflow that belongs to a batch.
  return name.slice(0, LONGEST_NAME).replace(/-(prepare|retry|page)$/, '_$1') || 'batch';
}

/** The same rows, asked in the same way, are the same batch: the same command goes on where it was interrupted. */
function fingerprint(digest: string, folder = ''): string {
  return createHash('sha256').update(`${digest}\n${folder}`).digest('hex').slice(0, DIGEST_CHARACTERS);
}
