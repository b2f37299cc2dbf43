import { rowInput } from '../../src/workflows/rowInput';

describe('what a row comes to', () => {
  it('is its own fields over those of all rows, and of its params each by its name', () => {
    const common = { model: 'a', tags: ['t'], params: { temperature: 1, seed: 1 } };
    expect(rowInput(common, { prompt: 'Hi', model: 'b', params: { temperature: 0 } })).toEqual({
      prompt: 'Hi',
      model: 'b',
      tags: ['t'],
      params: { temperature: 0, seed: 1 },
    });
    expect(rowInput(common, { prompt: 'Hi' })).toEqual({ prompt: 'Hi', ...common });
  });

  it('has the common list of models only where it names no model', () => {
    expect(rowInput({ models: ['a'] }, { model: 'b' })).toEqual({ model: 'b' });
    expect(rowInput({ models: ['a'] }, { prompt: 'Hi' })).toEqual({ models: ['a'], prompt: 'Hi' });
  });
});
