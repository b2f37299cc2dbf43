import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from '@temporalio/worker';
import { workflowBundle } from '../../dev/workflowBundle';
import { installQuietRuntime } from '../support/workflowBench';

const FOLDER = join(__dirname, '..', 'histories');

interface HistoryFile {
  events: Array<Record<string, unknown> & { eventType: string }>;
}

const NAMES = readdirSync(FOLDER).map((file) => file.replace(/\.json$/, ''));
const historyOf = (name: string): HistoryFile =>
  JSON.parse(readFileSync(join(FOLDER, `${name}.json`), 'utf8')) as HistoryFile;
const replay = async (history: HistoryFile): Promise<void> =>
  Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, history, workflowIdOf(history));
/** A batch and its pages name each other by their ids. */
const workflowIdOf = ({ events: [first] }: HistoryFile): string =>
  (first?.['workflowExecutionStartedEventAttributes'] as { workflowId: string }).workflowId;

beforeAll(async () => {
  installQuietRuntime();
  await workflowBundle();
}, 120_000);

/** All texts of a history, those of payloads decoded. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value, Buffer.from(value, 'base64').toString('utf8')];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(textsOf);
}

describe('a run that an earlier worker began', () => {
  it.each(NAMES)('goes on with the workflows of today: %s', async (name) => {
    await expect(replay(historyOf(name))).resolves.toBeUndefined();
  });

  it('would be found out if it did not', async () => {
    const history = historyOf('reply');
    const scheduled = history.events.filter((event) => event['activityTaskScheduledEventAttributes'] !== undefined);
    const attributes = scheduled[1]?.['activityTaskScheduledEventAttributes'] as { activityType: { name: string } };
    attributes.activityType.name = 'anotherStep';
    await expect(replay(history)).rejects.toThrow(/Nondeterminism error/);
  });

  it.each(NAMES)('holds no credential and no place of a file: %s', (name) => {
    const text = textsOf(historyOf(name)).join('\n');
    expect(text).not.toMatch(/sk-[0-9a-f]{8}|eyJ[\w-]+\.eyJ|\bBearer\b|\/src\/|node_modules/);
  });
});
