/** `batch pause`, `resume`, `window`, `cancel` and `retry-failed`. */
import { Command, Option } from 'commander';
import type { Batch, CancelledPages } from '../../batch/batch';
import { Batches } from '../../batch/batches';
import { MOST_WINDOW, type BatchProgress } from '../../batchContract';
import { interruptible } from '../interruptible';
import { wholeNumber } from '../options';
import { PROGRAM, print, printJson, tell } from '../output';
import { withClient } from '../withTemporal';
import { lineOf } from './describe';
import { displayFor } from './display';
import { followToEnd } from './follow';

interface Json {
  json?: boolean;
}

interface ReplyTime {
  /** In seconds. */
  replyTime?: number;
}

const LONGEST_REPLY_S = 24 * 3600;

export function steeringCommands(): Command[] {
  return [pauseCommand(), resumeCommand(), windowCommand(), cancelCommand(), retryFailedCommand()];
}

function pauseCommand(): Command {
  return steering('pause', 'start no further row; what is in flight goes on to its end')
    .option('--reason <text>', 'why, for whoever looks at the batch')
    .addHelpText('after', `\nExample:\n  $ ${PROGRAM} batch pause night-1 --reason "the model is needed elsewhere"`)
    .action((key: string, { reason, ...options }: Json & { reason?: string }) =>
      steer(key, options, (batch) => batch.pause(reason)),
    );
}

function resumeCommand(): Command {
  return steering('resume', 'go on with a batch that was paused or terminated')
    .addOption(replyTimeOption())
    .addHelpText('after', `\nExample:\n  $ ${PROGRAM} batch resume night-1`)
    .action((key: string, { replyTime, ...options }: Json & ReplyTime) =>
      steer(key, options, (batch) => batch.resume(replyMsOf(replyTime))),
    );
}

function windowCommand(): Command {
  return steering('window', 'change how many conversations are in flight at the most')
    .argument('<n>', 'conversations', wholeNumber(1, MOST_WINDOW))
    .addHelpText('after', `\nExample:\n  $ ${PROGRAM} batch window night-1 40`)
    .action((key: string, window: number, options: Json) => steer(key, options, (batch) => batch.setWindow(window)));
}

function cancelCommand(): Command {
  return steering('cancel', 'stop what is in flight, and start nothing more; the chats keep what there is')
    .addHelpText('after', `\nExample:\n  $ ${PROGRAM} batch cancel night-1`)
    .action((key: string, options: Json) => steer(key, options, (batch) => batch.cancel()));
}

function steering(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .argument('<key>', 'key of the batch')
    .option('--json', 'print one JSON object');
}

/** Where the namespace's retention is looked at. */
function replyTimeOption(): Option {
  const what = 'what a reply takes, for the comparison with the retention (default: as at the start)';
  return new Option('--reply-time <seconds>', what).argParser(wholeNumber(1, LONGEST_REPLY_S));
}

function replyMsOf(seconds: number | undefined): { replyMs?: number } {
  return seconds === undefined ? {} : { replyMs: seconds * 1000 };
}

function steer(
  key: string,
  { json }: Json,
  change: (batch: Batch) => Promise<BatchProgress | CancelledPages>,
): Promise<void> {
  return withClient(async (client) => {
    const told = await change(new Batches(client).batch(key));
    if (json) printJson(told);
    else print('cancelledPages' in told ? cancelledLine(told) : lineOf(told, Date.now()));
  });
}

export function cancelledLine({ batchKey, cancelledPages }: CancelledPages): string {
  const pages = `${cancelledPages} ${cancelledPages === 1 ? 'page' : 'pages'}`;
  return `No batch "${batchKey}" runs; ${pages} that waited for one will start nothing more. If an upload is still under way, interrupt it and cancel again`;
}

interface RetryOptions extends Json, ReplyTime {
  window?: number;
  wait: boolean;
}

function retryFailedCommand(): Command {
  return new Command('retry-failed')
    .description('run the rows once more that failed or were cancelled, each in the chat that it has')
    .argument('<key>', 'key of the batch')
    .option('-w, --window <n>', 'most conversations in flight (default: as before)', wholeNumber(1, MOST_WINDOW))
    .addOption(replyTimeOption())
    .option('--no-wait', 'start only, and print the key')
    .option('--json', 'print events as JSON lines; the last one is the result')
    .addHelpText('after', `\nExample:\n  $ ${PROGRAM} batch retry-failed night-1 --window 5`)
    .action((key: string, options: RetryOptions) =>
      withClient((client) => retryFailed(new Batches(client).batch(key), options)),
    );
}

async function retryFailed(batch: Batch, { window, replyTime, wait, json }: RetryOptions): Promise<void> {
  const { batchKey, workflowId } = batch;
  const display = displayFor({ json });
  const onUploaded = (uploaded: number): void => display.count('uploading', uploaded);
  const interrupted = (): string => {
    display.close();
    return 'Nothing has begun yet. The same command again goes on where it stopped.';
  };
  const rows = await interruptible(interrupted, () =>
    batch.retryFailed({ ...(window === undefined ? {} : { window }), ...replyMsOf(replyTime), onUploaded }),
  ).finally(() => display.close());
  if (json) printJson({ event: 'started', batchKey, workflowId, rows });
  else tell(rows === 0 ? 'No row has failed' : `${rows} rows once more`);
  if (rows === 0) return;
  if (wait) return followToEnd(batch, display, { ...(json ? { json } : {}) });
  if (!json) print(batchKey);
}
