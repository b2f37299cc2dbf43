import { earlierMessageId, turnIds } from '../../src/activities/ids';

const KEY = { namespaceId: '11111111-2222-4333-8444-555555555555', workflowId: 'chat/order-1', turnKey: '1' };

describe('the ids of a turn', () => {
  it('are these, for ever: a run that is under way finds its messages by them after an update of the worker', () => {
    expect(turnIds(KEY, 1)).toEqual({
      userMessageId: '73b18d36-0cf2-5e4d-b340-a815d190693b',
      messageId: 'bb07a59b-7a24-5be0-9781-7bc66e80d60a',
    });
    expect(earlierMessageId(KEY, 0)).toBe('f80a8c63-36b1-5117-9aa8-16056d2e4048');
  });

  it('are the same whenever they are made', () => {
    expect(turnIds({ ...KEY }, 1)).toEqual(turnIds(KEY, 1));
  });

  it('are UUIDs of version 5', () => {
    const { userMessageId, messageId } = turnIds(KEY, 1);
    for (const id of [userMessageId, messageId, earlierMessageId(KEY, 3)]) {
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });

  it('keep the user message and change the answer with the generation', () => {
    const [first, second] = [turnIds(KEY, 1), turnIds(KEY, 2)];
    expect(second.userMessageId).toBe(first.userMessageId);
    expect(second.messageId).not.toBe(first.messageId);
  });

  it.each([
    ['namespace id, so that two clusters share none', { namespaceId: '99999999-2222-4333-8444-555555555555' }],
    ['workflow id', { workflowId: 'chat/order-2' }],
    ['turn', { turnKey: '2' }],
  ])('differ with the %s', (_, difference) => {
    const other = { ...KEY, ...difference };
    const [ours, theirs] = [turnIds(KEY, 1), turnIds(other, 1)];
    const ids = [ours.userMessageId, ours.messageId, theirs.userMessageId, theirs.messageId];
    expect(new Set(ids).size).toBe(4);
    expect(earlierMessageId(other, 0)).not.toBe(earlierMessageId(KEY, 0));
  });

  it('cannot be mixed up by a separator in a name', () => {
    const a = turnIds({ ...KEY, workflowId: 'a","b', turnKey: 'c' }, 1);
    const b = turnIds({ ...KEY, workflowId: 'a', turnKey: 'b","c' }, 1);
    expect(a.userMessageId).not.toBe(b.userMessageId);
  });
});
