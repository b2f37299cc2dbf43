import { formatOf, resultsCommand, webUrlOf } from '../../../src/commands/batch/results';

it('tells CSV by the name in any case of letters', () => {
  expect(['a.csv', 'a.CSV', 'a.jsonl', '-', 'csv'].map(formatOf)).toEqual(['csv', 'csv', 'jsonl', 'jsonl', 'jsonl']);
});

it("takes an address of Temporal's Web UI only with its scheme; an empty one is none", () => {
  expect(webUrlOf('http://localhost:8233')).toBe('http://localhost:8233');
  expect(webUrlOf('')).toBeUndefined();
  for (const other of ['localhost:8233', 'temporal.test', 'javascript:alert(1)'])
    expect(() => webUrlOf(other)).toThrow('Give it with its scheme, such as http://localhost:8233.');
});

it('refuses a name that promises a packed file, and says how to pack', async () => {
  const writing = resultsCommand().parseAsync(['night', '--out', 'r.jsonl.gz'], { from: 'user' });
  await expect(writing).rejects.toThrow(/^--out r\.jsonl\.gz would not be packed: .* \| gzip > r\.jsonl\.gz$/);
});
