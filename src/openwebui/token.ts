/** What a token of Open WebUI tells by its form alone. */

/** An API key, as Open WebUI gives them out: `sk-…`. */
export function isApiKey(token: string): boolean {
  return /^sk-[\x21-\x7e]+$/.test(token);
}

/** A signed JSON Web Token. */
export function isJwt(token: string): boolean {
  return /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(token);
}

/**
 * When a JWT ends, and when it was given out, in ms since the epoch by the clock of Open WebUI; undefined where it does not say so,
 * and for anything that is not a JWT.
 */
export function jwtTimes(token: string): { expiresAt: number | undefined; issuedAt: number | undefined } {
  const { exp, iat } = payloadOf(token);
  const inMs = (seconds: unknown): number | undefined => (typeof seconds === 'number' ? seconds * 1000 : undefined);
  return { expiresAt: inMs(exp), issuedAt: inMs(iat) };
}

function payloadOf(token: string): { exp?: unknown; iat?: unknown } {
  if (!isJwt(token)) return {};
  try {
    const payload: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return payload ?? {};
  } catch {
    return {};
  }
}
