import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { realVersions } from '../test/support/real';
import { findChromium } from './chromium';
import { prepareOpenWebUI } from './openWebUI';
import { run } from './processes';
import { terminalProgress, type Progress } from './progress';
import { temporalExecutable } from './temporalExecutable';
import { temporaryDirectory } from './temporaryDirectory';

/**
 * The Jest projects of each set of tests, by the argument that chooses it; without one it is what a commit has to pass. Those of one
 * group run at the same time. Unit tests wait for moments, so nothing that takes the processor for long runs beside them.
 */
const SETS: Record<string, string[][]> = { '--all': [['proofs']], '--long': [['long']] };
const PRESET = [['unit'], ['integration', 'real']];

/**
 * `npm test`, `npm run test:all` with `--all`, and `npm run test:long` with `--long`: fetches what the tests need, runs them with Jest, and ends standard
 * output with the line `N passed, N failed`. Other arguments go to Jest: path patterns, `-t`, `-u`.
 */
async function main(): Promise<void> {
  const given = process.argv.slice(2);
  const set = given.find((argument) => Object.hasOwn(SETS, argument));
  const groups = set === undefined ? PRESET : (SETS[set] ?? []);
  // Proofs measure time, so each has the machine to itself.
  const oneByOne = set === undefined ? [] : ['--maxWorkers=1'];
  const patterns = given.filter((argument) => argument !== set);
  const selections: string[][] = [];
  const kinds = new Set<string>();
  for (const projects of groups) {
    const selection = [...patterns, ...oneByOne, '--selectProjects', ...projects];
    const found = await testKinds(selection);
    if (found.size > 0) selections.push(selection);
    for (const kind of found) kinds.add(kind);
  }
  if (selections.length === 0)
    throw new Error(`No test file fits ${patterns.join(' ')}; give a part of a path below test/`);
  await fetchNeeds(kinds, terminalProgress({ yes: true }));
  const total = { passed: 0, failed: 0 };
  for (const selection of selections) {
    const { passed, failed } = await runJest(selection);
    total.passed += passed;
    total.failed += failed;
  }
  console.log(`${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed === 0 ? 0 : 1;
}

const JEST = require.resolve('jest/bin/jest');

/** The directories in `test/` that the chosen tests are in. */
async function testKinds(selection: string[]): Promise<Set<string>> {
  const files = await run(process.execPath, [JEST, '--listTests', ...selection], { environment: process.env });
  const root = join(__dirname, '..', 'test');
  return new Set(
    files
      .split('\n')
      .filter(Boolean)
      .map((file) => relative(root, file).split(sep)[0] ?? ''),
  );
}

async function fetchNeeds(kinds: Set<string>, progress: Progress): Promise<void> {
  const any = (...names: string[]) => names.some((name) => kinds.has(name));
  if (any('integration', 'e2e', 'contract', 'proofs', 'long')) await temporalExecutable(progress);
  if (any('e2e', 'contract', 'proofs', 'long')) {
    for (const version of realVersions()) await prepareOpenWebUI(version, progress);
  }
  if (any('e2e', 'proofs')) await findChromium(progress);
}

/** What of Jest's result counts here. */
interface Result {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  /** Files that could not even be loaded. */
  numRuntimeErrorTestSuites: number;
}

async function runJest(selection: string[]): Promise<{ passed: number; failed: number }> {
  const directory = await temporaryDirectory('test');
  const outputFile = join(directory, 'result.json');
  try {
    const exitCode = await inForeground(process.execPath, [JEST, '--json', '--outputFile', outputFile, ...selection]);
    const text = await readFile(outputFile, 'utf8').catch(() => undefined);
    // Without a result the servers did not start, or Jest itself broke down.
    if (text === undefined) return { passed: 0, failed: 1 };
    const result = JSON.parse(text) as Result;
    // A run that is to prove something must not leave anything out.
    const skipped = process.env.CI ? result.numPendingTests : 0;
    const failed = result.numFailedTests + result.numRuntimeErrorTestSuites + skipped;
    return { passed: result.numPassedTests, failed: failed === 0 && exitCode !== 0 ? 1 : failed };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function inForeground(command: string, args: string[]): Promise<number> {
  const child = spawn(command, args, { stdio: 'inherit' });
  // Ctrl-C reaches the child by itself; it decides, and this process reports.
  const forward = () => void child.kill('SIGTERM');
  process.on('SIGINT', () => {});
  process.on('SIGTERM', forward);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

main().catch((error: Error) => {
  console.error(error.message);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
});
