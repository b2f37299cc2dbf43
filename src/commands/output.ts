/** Where the commands write: results on standard output, all else on standard error. */
import { ServiceError, isGrpcServiceError } from '@temporalio/client';
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
  if (error instanceof ServiceError || isGrpcServiceError(error)) return temporalSentence(error);
  if (error instanceof Error) return isExpected(error) ? error.message : (error.stack ?? error.message);
  return String(error);
}

/** gRPC's codes for what asking again does not help, and what does. */
const REFUSALS: Readonly<Record<number, string>> = {
  3: 'correct what was asked',
  7: 'use a credential that may do this, such as another TEMPORAL_API_KEY',
  16: 'use a credential that it accepts, such as another TEMPORAL_API_KEY',
};

function temporalSentence(error: Error): string {
  const told = error instanceof ServiceError ? error.cause : error;
  if (!isGrpcServiceError(told)) return unansweredSentence(error.message);
  const remedy = REFUSALS[Number(told.code)];
  return remedy === undefined ? unansweredSentence(told.message) : `Temporal refuses: ${told.details}; ${remedy}.`;
}

function unansweredSentence(why: string): string {
  return `Temporal does not answer (${why}); look whether it runs, then ask again with the same key.`;
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
