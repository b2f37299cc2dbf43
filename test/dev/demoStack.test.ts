import { modelToAsk } from '../../dev/demoStack';

describe('the model that the demo asks', () => {
  it.each([
    ['is the first', ['llama3.1:8b', 'qwen3'], 'llama3.1:8b'],
    ['is none for embeddings', ['nomic-embed-text:latest', 'Qwen3-Embedding', 'llama3.1:8b'], 'llama3.1:8b'],
    ['is missing where there are only such', ['mxbai-embed-large'], undefined],
    ['is missing where there is none', [], undefined],
  ])('%s', (_, ids, model) => {
    expect(modelToAsk(ids)).toBe(model);
  });
});
