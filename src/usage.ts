/** The tokens of a reply, out of what its provider reports. */

/** Providers name the same differently. */
const TOKEN_NAMES = {
  prompt: ['prompt_tokens', 'input_tokens', 'prompt_eval_count'],
  completion: ['completion_tokens', 'output_tokens', 'eval_count'],
  total: ['total_tokens'],
} as const;

/** @returns undefined where the provider does not say */
export function tokensOf(
  usage: Record<string, unknown> | undefined,
  kind: keyof typeof TOKEN_NAMES,
): number | undefined {
  for (const name of TOKEN_NAMES[kind]) {
    const tokens = usage?.[name];
    if (typeof tokens === 'number' && Number.isFinite(tokens)) return tokens;
  }
  return undefined;
}
