import { ServiceError } from '@temporalio/client';
import { explain } from '../../src/commands/output';

function grpcError(code: number, details: string): Error {
  return Object.assign(new Error(`${code} X: ${details}`), { code, details, metadata: {} });
}

describe('what Temporal says', () => {
  it.each([
    [3, 'invalid query: unknown column', 'correct what was asked'],
    [7, 'Request unauthorized.', 'use a credential that may do this, such as another TEMPORAL_API_KEY'],
    [16, 'no token', 'use a credential that it accepts, such as another TEMPORAL_API_KEY'],
  ])('is told with its reason where it refuses (%d)', (code, details, remedy) => {
    const error = grpcError(code, details);
    const sentence = `Temporal refuses: ${details}; ${remedy}.`;
    expect(explain(error)).toBe(sentence);
    expect(explain(new ServiceError('Failed to list', { cause: error }))).toBe(sentence);
  });

  it('is one sentence where it does not answer, whoever has asked', () => {
    const error = grpcError(14, 'no connection');
    for (const each of [error, new ServiceError('Failed', { cause: error }), new ServiceError('Failed')])
      expect(explain(each)).toMatch(/^Temporal does not answer \(.*\); look whether it runs, [^\n]*\.$/);
  });
});
