import { PLACED, WorkflowBench } from '../support/workflowBench';

let bench: WorkflowBench;
beforeAll(async () => {
  bench = await WorkflowBench.start({ searchAttributes: false });
}, 120_000);
afterAll(() => bench.stop());

describe('a run on a Temporal server without the search attributes', () => {
  it('does without them, because its first step says so', async () => {
    bench.reset({ createChat: async () => ({ ...PLACED, searchAttributes: false }) });
    const run = await bench.start();
    expect(await run.result()).toMatchObject({ content: 'Paris.' });
    const { events } = await run.handle.fetchHistory();
    expect(events?.some((event) => event.upsertWorkflowSearchAttributesEventAttributes)).toBe(false);
  });
});
