import { explored, report } from '../model/explore';
import { productRules } from '../model/productRules';

const RUNS = 100_000;

describe('the model of the protocol', () => {
  it(`finds nothing in ${RUNS} schedules`, () => {
    // Others than those that are played with each change.
    const example = explored(productRules, { runs: RUNS, seed: 2 });
    if (example !== undefined) throw new Error(report(example));
  }, 2_400_000);
});
