import { setTimeout as sleep } from 'node:timers/promises';
import { exitCodeOf, onInterrupt } from '../src/interrupts';

it('takes two interrupts in a row for one, as npm sends them, and a later one for another', async () => {
  const heard: string[] = [];
  const stop = onInterrupt(
    () => heard.push('first'),
    () => heard.push('insisted'),
    50,
  );
  const interrupt = (): boolean => process.emit('SIGINT');
  interrupt();
  interrupt();
  expect(heard).toEqual(['first']);
  await sleep(60);
  interrupt();
  expect(heard).toEqual(['first', 'insisted']);
  stop();
  expect(process.listeners('SIGINT')).toEqual([]);
});

it('takes SIGTERM like Ctrl-C, and tells which it was', async () => {
  const heard: string[] = [];
  const stop = onInterrupt(
    (interrupt) => heard.push(`first ${interrupt}`),
    (interrupt) => heard.push(`insisted ${interrupt}`),
    50,
  );
  process.emit('SIGTERM');
  process.emit('SIGINT');
  await sleep(60);
  process.emit('SIGTERM');
  expect(heard).toEqual(['first SIGTERM', 'insisted SIGTERM']);
  stop();
  expect(process.listeners('SIGTERM')).toEqual([]);
  expect([exitCodeOf('SIGINT'), exitCodeOf('SIGTERM')]).toEqual([130, 143]);
});
