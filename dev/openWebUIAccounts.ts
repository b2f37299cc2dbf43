import { randomBytes } from 'node:crypto';

/** A person with an account. */
export interface Account {
  name: string;
  email: string;
  password: string;
}

export interface SignedIn extends Account {
  id: string;
  role: string;
  /** A JWT: it opens the REST API and the socket. */
  token: string;
}

interface Session {
  id: string;
  name: string;
  role: string;
  token: string;
}

export function newAccount(name: string, email: string): Account {
  return { name, email, password: randomBytes(12).toString('base64url') };
}

/** Makes the first account of a server, which becomes its administrator. */
export async function signUp(url: string, account: Account): Promise<SignedIn> {
  const { id, role, token } = await call<Session>(url, '/api/v1/auths/signup', { body: { ...account } });
  return { ...account, id, role, token };
}

export async function signIn(url: string, { email, password }: Omit<Account, 'name'>): Promise<SignedIn> {
  const { id, name, role, token } = await call<Session>(url, '/api/v1/auths/signin', { body: { email, password } });
  return { email, password, id, name, role, token };
}

/** Makes an account, as an administrator. */
export async function addAccount(
  url: string,
  adminToken: string,
  account: Account,
  role: 'user' | 'admin',
): Promise<SignedIn> {
  await call(url, '/api/v1/auths/add', { token: adminToken, body: { ...account, role } });
  return signIn(url, account);
}

/** Makes an API key for the token's user; an earlier one of the same user stops working. */
export async function makeApiKey(url: string, token: string): Promise<string> {
  const answer = await call<{ api_key: string }>(url, '/api/v1/auths/api_key', { token, body: {} });
  return answer.api_key;
}

/** @throws Error if the token or API key is not accepted. */
export async function checkToken(url: string, token: string): Promise<void> {
  // Not `/api/v1/auths/`: from 0.12 on that is closed to API keys.
  await call(url, '/api/models', { token });
}

export async function serverVersion(url: string): Promise<string> {
  const { version } = await call<{ version?: string }>(url, '/api/version', {});
  if (!version) throw new Error(`${url} does not say which Open WebUI it is.`);
  return version;
}

async function call<T>(url: string, path: string, request: { token?: string; body?: object }): Promise<T> {
  const { token, body } = request;
  const response = await fetch(url + path, {
    ...(body ? { method: 'POST', body: JSON.stringify(body) } : {}),
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  // A path that the server does not know is answered with its web page.
  if (!response.headers.get('content-type')?.startsWith('application/json')) {
    throw new Error(`${url}${path} answered ${response.status} with something else than JSON. Is it an Open WebUI?`);
  }
  if (!response.ok) throw new Error(`${url}${path} answered ${response.status}: ${text.slice(0, 300)}`);
  return JSON.parse(text) as T;
}
