import { setTimeout as sleep } from 'node:timers/promises';
import { onInterrupt } from '../src/interrupts';

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
