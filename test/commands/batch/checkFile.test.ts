import { faultOfKey } from '../../../src/batch/batches';
import { nameOf } from '../../../src/commands/batch/checkFile';

describe('the name that a key is made of', () => {
  it.each([
    ['/data/questions.jsonl.gz', 'questions'],
    ['Standard input', 'Standard-input'],
    ['ü.csv', 'batch'],
    ['night-prepare.jsonl', 'night_prepare'],
    ['night-retry.jsonl', 'night_retry'],
    ['night-page.csv', 'night_page'],
    [`${'x'.repeat(35)}-page-2.csv`, `${'x'.repeat(35)}_page`],
  ])('of %s is %s', (file, name) => expect(nameOf(file)).toBe(name));

  it.each(['night-prepare', 'night-retry', 'night-page', 'night-retry-1-page', 'prepare'])(
    'makes a key that a batch can have, of %s',
    (stem) => expect(faultOfKey(`${nameOf(stem)}-0123456789`)).toBeUndefined(),
  );
});
