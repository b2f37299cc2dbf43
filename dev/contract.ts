import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { TOPOLOGY_VARIABLE, VERSIONS_VARIABLE } from '../test/support/real';
import { publish, readMeasurements, stamped, type ContractResult } from './measurements';

const EXAMPLES = `
Examples:
  npm run contract -- 0.9.6
  npm run contract -- 0.6.40 0.7.2 --publish     one after the other, and docs/measurements.md made anew
  npm run contract -- 0.12.4 -t "a further turn"
  npm run contract -- 0.12.4 --topology pg-redis    several processes behind nginx, on PostgreSQL and Redis

Installs and starts that release of Open WebUI and puts the contract suite to it; what follows the releases goes to Jest. Ends
standard output with the line "N passed, N failed"; the exit code is 0 only if nothing failed.`;

const RELEASE = /^\d+\.\d+\.\d+$/;

async function main(): Promise<void> {
  const command = new Command('npm run contract --')
    .description('The contract suite on a real Open WebUI of any release')
    .argument('<release...>', 'such as 0.9.6', asReleases)
    .option('--publish', 'write docs/measurements/contract.json and docs/measurements.md')
    .addOption(new Option('--topology <name>', 'as it runs in production').choices(['pg-redis']))
    .allowUnknownOption()
    .addHelpText('after', EXAMPLES)
    .parse();
  const releases = command.processedArgs[0] as string[];
  const jest = command.args.filter((argument) => !RELEASE.test(argument));
  const { publish: isPublished = false, topology } = command.opts<{ publish?: boolean; topology?: string }>();
  if (isPublished && topology !== undefined)
    throw new Error('What is published is measured on one process: leave --topology out.');
  if (topology !== undefined) process.env[TOPOLOGY_VARIABLE] = topology;
  const total: ContractResult = { passed: 0, failed: 0 };
  for (const release of releases) {
    const result = await suiteOn(release, jest);
    total.passed += result.passed;
    total.failed += result.failed;
    if (!isPublished) continue;
    const before = (await readMeasurements()).contract;
    await publish('contract', { ...before, [release]: await stamped(result) });
  }
  if (releases.length > 1) console.log(`${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed === 0 ? 0 : 1;
}

/** What looks like none is for Jest, but the first. */
function asReleases(value: string, before: string[] = []): string[] {
  if (RELEASE.test(value)) return [...before, value];
  if (before.length === 0) throw new InvalidArgumentError('A release of Open WebUI has three numbers, as in 0.9.6.');
  return before;
}

async function suiteOn(release: string, jest: string[]): Promise<ContractResult> {
  const test = join(__dirname, 'test.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', test, 'test/contract/real', ...jest], {
    stdio: ['inherit', 'pipe', 'inherit'],
    env: { ...process.env, [VERSIONS_VARIABLE]: release },
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
    process.stdout.write(data);
  });
  // Ctrl-C reaches the child by itself; it decides.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => void child.kill('SIGTERM'));
  await new Promise((resolve) => child.once('close', resolve));
  const [, passed = '0', failed = '1'] =
    /^(\d+) passed, (\d+) failed$/.exec(output.trim().split('\n').at(-1) ?? '') ?? [];
  return { passed: Number(passed), failed: Number(failed) };
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
