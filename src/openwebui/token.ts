/** What a token of Open WebUI tells by its form alone. */

/** An API key, as Open WebUI gives them out: `sk-…`. */
export function isApiKey(token: string): boolean {
  return /^sk-[\x21-\x7e]+$/.test(token);
}

/** A signed JSON Web Token. */
export function isJwt(token: string): boolean {
  return /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(token);
}

/** When a JWT ends, in ms since the epoch; undefined for one that does not end, and for anything that is not a JWT. */
export function jwtExpiry(token: string): number | undefined {
  if (!isJwt(token)) return undefined;
  try {
    const payload = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as {
      exp?: unknown;
    };
    return typeof payload.exp === 'number' ? payload.exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}
