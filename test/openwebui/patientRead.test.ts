import { PatientRead } from '../../src/openwebui/patientRead';

/** A read that ends when it is told to. */
function reads() {
  const under: Array<{ end: (text: string) => void; fail: (error: Error) => void }> = [];
  const read = (): Promise<string> => new Promise((end, fail) => under.push({ end, fail }));
  return { under, read };
}

it('is one for all who ask meanwhile, and another for those who ask later', async () => {
  const { under, read } = reads();
  const file = new PatientRead(read);
  const results = [file.result(), file.result()];
  under[0]?.end('first');
  expect(await Promise.all(results)).toEqual(['first', 'first']);
  const later = file.result();
  under[1]?.end('second');
  expect(await later).toBe('second');
});

it('that hangs is waited for once, holds one thread only, and counts again when it ends', async () => {
  const { under, read } = reads();
  const file = new PatientRead(read, 50);
  const hanging = [file.result(), file.result()];
  for (const result of hanging) await expect(result).rejects.toMatchObject({ name: 'TimeoutError' });
  const started = performance.now();
  await expect(file.result()).rejects.toMatchObject({ name: 'TimeoutError' });
  expect(performance.now() - started).toBeLessThan(40);
  expect(under).toHaveLength(1);
  under[0]?.end('late');
  await new Promise(setImmediate);
  const next = file.result();
  under[1]?.end('next');
  expect(await next).toBe('next');
});

it('that fails fails for those who wait, and is tried again', async () => {
  const { under, read } = reads();
  const file = new PatientRead(read);
  const failing = file.result();
  under[0]?.fail(new Error('EIO'));
  await expect(failing).rejects.toThrow('EIO');
  const next = file.result();
  under[1]?.end('there');
  expect(await next).toBe('there');
});
