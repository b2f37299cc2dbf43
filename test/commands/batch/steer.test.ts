import { cancelledLine } from '../../../src/commands/batch/steer';

it('says of pages that were cancelled without a batch that an upload may be under way', () => {
  expect(cancelledLine({ batchKey: 'night', cancelledPages: 1 })).toBe(
    'No batch "night" runs; 1 page that waited for one will start nothing more. If an upload is still under way, interrupt it and cancel again',
  );
});
