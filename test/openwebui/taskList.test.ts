import { stopOfNothing, taskListOf } from '../../src/openwebui/taskList';

describe('where the task list is kept', () => {
  const nothing = { several: false, redisFailed: false, stopOfNothing: undefined };

  it.each([
    ['unknown', nothing],
    ['split', { ...nothing, several: true }],
    ['shared', { ...nothing, redisFailed: true }],
    ['shared', { ...nothing, stopOfNothing: 'accepted' }],
    ['memory', { ...nothing, stopOfNothing: 'not found' }],
    // One answer of the server to the very question says more than what may have had another cause.
    ['memory', { ...nothing, redisFailed: true, stopOfNothing: 'not found' }],
    ['split', { ...nothing, several: true, stopOfNothing: 'not found' }],
    ['shared', { ...nothing, several: true, stopOfNothing: 'accepted' }],
    ['split', { ...nothing, several: true, redisFailed: true }],
  ] as const)('is %s', (list, signs) => {
    expect(taskListOf(signs)).toBe(list);
  });
});

describe('the stop of a task that never was', () => {
  const ID = '69331a71-2f17-4587-b41e-8532c63bf93f';

  it('is accepted where Redis hands it on', () => {
    expect(stopOfNothing(200, { status: true, message: `Task ${ID} stopped.` })).toBe('accepted');
  });

  it('finds nothing where the process looks for itself', () => {
    expect(stopOfNothing(200, { status: false, message: `Task with ID ${ID} not found.` })).toBe('not found');
    expect(stopOfNothing(404, { detail: `Task with ID ${ID} not found.` })).toBe('not found');
  });

  it('tells nothing where it may not be asked, or fails', () => {
    const refusals: Array<[number, unknown]> = [
      [401, { detail: 'You do not have permission to access this resource.' }],
      [403, { detail: 'Not allowed' }],
      [500, 'Internal Server Error'],
      [503, { detail: 'Redis not ready' }],
      [200, 'a page'],
      [200, {}],
    ];
    for (const [status, answer] of refusals) expect(stopOfNothing(status, answer)).toBeUndefined();
  });
});
