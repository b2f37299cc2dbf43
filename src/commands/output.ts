/** Where the commands write: results on standard output, all else on standard error. */
import { ServiceError } from '@temporalio/client';
import { InvalidArgumentError } from 'commander';
import { ResultsFileError } from '../batch/results/resultsFile';
import { TemplateError } from '../batch/file/template';
import { FileError } from '../batch/file/textFile';
import { OrchestrationError } from '../chatRun';
import { ConfigError } from '../config/configError';
import { OpenWebUIError } from '../openwebui/errors';
import { TemporalUnavailableError } from '../temporal';

/** How this program is called, in what it tells people to do next. */
export const PROGRAM = 'npm run -s starter --';

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One object on one line. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

/** For the person in front of it; standard output is for results alone. */
export function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** What went wrong, for a person. Only a defect shows where in the code it lies. */
export function explain(error: unknown): string {
  if (error instanceof OrchestrationError) {
    const lines = [`${error.type}: ${error.message}`];
    if (error.details.url !== undefined) lines.push(error.details.url);
    if (error.details.content !== undefined) lines.push('', error.details.content);
    return lines.join('\n');
  }
  if (error instanceof ServiceError)
    return `Temporal does not answer (${error.message}); look whether it runs, then ask again with the same key.`;
  if (error instanceof Error) return isExpected(error) ? error.message : (error.stack ?? error.message);
  return String(error);
}

const SENTENCES = [
  ConfigError,
  FileError,
  InvalidArgumentError,
  OpenWebUIError,
  ResultsFileError,
  TemplateError,
  TemporalUnavailableError,
];

/** Its message is a sentence for the person in front of it. */
function isExpected(error: Error): boolean {
  return SENTENCES.some((kind) => error instanceof kind);
}
