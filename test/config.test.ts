import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { ConfigError, describeConnections, loadConfig, secretsOf, VARIABLES } from '../src/config';

const API_KEY = 'sk-canary0123456789abcdef';
const PASSWORD = 'canary pass,word';
const FOREVER = jwt({ id: 'user' });

function jwt(payload: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'HS256', typ: 'JWT' })}.${part(payload)}.canarysignature`;
}

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'config-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function file(name: string, content: string, mode = 0o600): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

function connections(profiles: unknown, mode?: number): NodeJS.ProcessEnv {
  return { OPENWEBUI_CONNECTIONS: file('connections.json', JSON.stringify(profiles), mode) };
}

/** The sentence of the ConfigError. */
function refusal(env: NodeJS.ProcessEnv): string {
  try {
    loadConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    const { message } = error as ConfigError;
    expect(message).toMatch(/^[^\n]*[.?]$/);
    expect(message).not.toMatch(/canary/);
    return message;
  }
  throw new Error('the configuration was accepted');
}

describe('connections from the environment', () => {
  it('makes the connection "default" from URL and API key', () => {
    const config = loadConfig({ OPENWEBUI_URL: 'http://localhost:3000/', OPENWEBUI_API_KEY: ` ${API_KEY}\n` });
    const profile = config.connections.get('default');
    expect(profile).toMatchObject({ name: 'default', url: 'http://localhost:3000', generations: 10 });
    expect(profile?.credential.kind).toBe('token');
    expect(secretsOf(config).map((secret) => secret.reveal())).toEqual([API_KEY]);
  });

  it('keeps a base path', () => {
    const config = loadConfig({ OPENWEBUI_URL: 'https://host.example/chat/', OPENWEBUI_API_KEY: API_KEY });
    expect(config.connections.get('default')?.url).toBe('https://host.example/chat');
  });

  it('reads key and password from files, without the newline at their end', () => {
    const key = loadConfig({ OPENWEBUI_URL: 'http://h', OPENWEBUI_API_KEY_FILE: file('key', `${API_KEY}\n`) });
    expect(secretsOf(key)[0]?.reveal()).toBe(API_KEY);
    const user = { OPENWEBUI_EMAIL: 'a@b.example', OPENWEBUI_PASSWORD_FILE: file('password', `${PASSWORD}\n`) };
    expect(secretsOf(loadConfig({ OPENWEBUI_URL: 'http://h', ...user }))[0]?.reveal()).toBe(PASSWORD);
  });

  it('takes an empty variable for one that is not set', () => {
    const env = { OPENWEBUI_URL: 'http://h', OPENWEBUI_API_KEY: API_KEY, OPENWEBUI_EMAIL: '', OPENWEBUI_PASSWORD: ' ' };
    expect(loadConfig(env).connections.size).toBe(1);
  });

  it('never shows a secret when the configuration is printed', () => {
    const config = loadConfig({ OPENWEBUI_URL: 'http://h', OPENWEBUI_API_KEY: API_KEY });
    const printed =
      inspect(config, { depth: 20 }) + JSON.stringify([...config.connections]) + String(secretsOf(config));
    expect(printed).not.toContain('canary');
  });

  it.each([
    ['nothing', {}, /set OPENWEBUI_URL and OPENWEBUI_API_KEY, or .* OPENWEBUI_CONNECTIONS/],
    ['a key without a URL', { OPENWEBUI_API_KEY: API_KEY }, /OPENWEBUI_URL is not set/],
    ['a URL without a credential', { OPENWEBUI_URL: 'http://h' }, /no credential: set OPENWEBUI_API_KEY/],
    [
      'key and e-mail',
      {
        OPENWEBUI_URL: 'http://h',
        OPENWEBUI_API_KEY: API_KEY,
        OPENWEBUI_EMAIL: 'a@b.example',
        OPENWEBUI_PASSWORD: PASSWORD,
      },
      /Both OPENWEBUI_API_KEY and OPENWEBUI_EMAIL are set/,
    ],
    [
      'key and key file',
      { OPENWEBUI_URL: 'http://h', OPENWEBUI_API_KEY: API_KEY, OPENWEBUI_API_KEY_FILE: '/nowhere' },
      /Both OPENWEBUI_API_KEY and OPENWEBUI_API_KEY_FILE are set/,
    ],
    [
      'e-mail only',
      { OPENWEBUI_URL: 'http://h', OPENWEBUI_EMAIL: 'a@b.example' },
      /OPENWEBUI_PASSWORD or OPENWEBUI_PASSWORD_FILE/,
    ],
    [
      'password only',
      { OPENWEBUI_URL: 'http://h', OPENWEBUI_PASSWORD: PASSWORD },
      /OPENWEBUI_PASSWORD is set without OPENWEBUI_EMAIL/,
    ],
    [
      'a key of no known form',
      { OPENWEBUI_URL: 'http://h', OPENWEBUI_API_KEY: 'canary' },
      /neither an API key .* nor a JWT/,
    ],
    ['a whole header', { OPENWEBUI_URL: 'http://h', OPENWEBUI_API_KEY: `Bearer ${API_KEY}` }, /begins with "Bearer"/],
  ])('refuses %s', (_, env, sentence) => {
    expect(refusal(env)).toMatch(sentence);
  });

  it.each([
    ['localhost:3000', /no scheme: begin it with http/],
    ['ftp://h', /begins with ftp:/],
    ['http://', /is not a URL/],
    ['http://user:canary@h', /holds a user or password/],
    ['http://h/?token=canary', /drop everything from "\?" on/],
    ['http://h/#canary', /drop everything from "#" on/],
    ['http://h:8080/api', /ends with "\/api": drop that and write http:\/\/h:8080\.$/],
    ['http://h/base/api/v1/', /ends with "\/api\/v1": drop that and write http:\/\/h\/base\.$/],
    ['http://h/api/chat/completions', /ends with "\/api\/chat\/completions"/],
    ['http://h/c/0d9f', /ends with "\/c\/0d9f": drop that and write http:\/\/h\.$/],
  ])('refuses the URL %s with a remedy', (url, sentence) => {
    const message = refusal({ OPENWEBUI_URL: url, OPENWEBUI_API_KEY: API_KEY });
    expect(message).toMatch(/^OPENWEBUI_URL /);
    expect(message).toMatch(sentence);
  });

  it.each([
    ['is missing', () => join(directory, 'none'), /does not exist/],
    ['is empty', () => file('empty', ' \n'), /is empty/],
    ['is a directory', () => directory, /is a directory/],
  ])('names variable and path of a key file that %s', (_, path, why) => {
    const message = refusal({ OPENWEBUI_URL: 'http://h', OPENWEBUI_API_KEY_FILE: path() });
    expect(message).toMatch(why);
    expect(message).toContain(`OPENWEBUI_API_KEY_FILE names ${path()}`);
  });

  it('only warns of a JWT that is over, because that is told by the clock of this machine', () => {
    const config = loadConfig({ OPENWEBUI_URL: 'http://h', OPENWEBUI_API_KEY: jwt({ exp: 1_600_000_000 }) });
    expect(config.warnings).toEqual([
      expect.stringMatching(/OPENWEBUI_API_KEY expired on 2020-09-13T.* by the clock of this machine: set a new one/),
    ]);
  });

  it('only warns of a JWT in a file that is over, because the file may be renewed', () => {
    const config = loadConfig({
      OPENWEBUI_URL: 'http://h',
      OPENWEBUI_API_KEY_FILE: file('key', jwt({ exp: 1_600_000_000 })),
    });
    expect(config.warnings).toEqual([
      expect.stringMatching(/OPENWEBUI_API_KEY_FILE expired on .* until there is a new one/),
    ]);
  });
});

describe('connections from a file', () => {
  it('holds several, with key files beside it, together with the one from the environment', () => {
    file('team-b.key', FOREVER);
    const config = loadConfig({
      ...connections({
        'team-a': { url: 'https://a.example', email: 'a@b.example', password: PASSWORD, generations: 3 },
        'team-b': { url: 'https://b.example', apiKeyFile: 'team-b.key' },
      }),
      OPENWEBUI_URL: 'http://localhost:8080',
      OPENWEBUI_API_KEY: API_KEY,
      ORCHESTRATOR_GENERATIONS: '7',
    });
    expect([...config.connections].map(([name, { generations }]) => [name, generations])).toEqual([
      ['team-a', 3],
      ['team-b', 7],
      ['default', 7],
    ]);
    expect(config.warnings).toEqual([]);
    expect(describeConnections(config)).toBe(
      'team-a at https://a.example (e-mail and password, push); team-b at https://b.example (JWT, push); ' +
        'default at http://localhost:8080 (API key, no push)',
    );
  });

  it('says how many generations are kept for interactive runs, for all connections or for one', () => {
    const team = { url: 'https://a.example', apiKey: API_KEY };
    const config = loadConfig({
      ...connections({
        own: { ...team, generations: 8, interactiveGenerations: 5 },
        none: { ...team, interactiveGenerations: 0 },
        few: { ...team, generations: 2 },
        single: { ...team, generations: 1 },
      }),
      OPENWEBUI_URL: 'http://localhost:8080',
      OPENWEBUI_API_KEY: API_KEY,
      ORCHESTRATOR_INTERACTIVE_GENERATIONS: '3',
    });
    expect([...config.connections].map(([name, { interactiveGenerations }]) => [name, interactiveGenerations])).toEqual(
      [
        ['own', 5],
        ['none', 0],
        ['few', 1],
        ['single', 0],
        ['default', 3],
      ],
    );
  });

  it('says where the server keeps its task list, and leaves it to be learnt where nobody says', () => {
    const team = { url: 'https://a.example', apiKey: API_KEY };
    const config = loadConfig({
      ...connections({ split: { ...team, taskList: 'split' }, learnt: team }),
      OPENWEBUI_URL: 'http://localhost:8080',
      OPENWEBUI_API_KEY: API_KEY,
      OPENWEBUI_TASK_LIST: ' Shared ',
    });
    expect([...config.connections].map(([name, { taskList }]) => [name, taskList])).toEqual([
      ['split', 'split'],
      ['learnt', undefined],
      ['default', 'shared'],
    ]);
  });

  it('refuses another place of the task list, and names those that there are', () => {
    const profile = { url: 'http://h', apiKey: API_KEY, taskList: 'redis' };
    expect(refusal(connections({ team: profile }))).toMatch(
      /^"team.taskList" in .* is not known: it must be one of auto, own, shared, split\.$/,
    );
    const variables = { OPENWEBUI_URL: 'http://h', OPENWEBUI_API_KEY: API_KEY, OPENWEBUI_TASK_LIST: 'redis' };
    expect(refusal(variables)).toMatch(/^OPENWEBUI_TASK_LIST is not known: /);
  });

  it('refuses to keep all generations of a connection for interactive runs', () => {
    const profile = { url: 'http://h', apiKey: API_KEY, generations: 4, interactiveGenerations: 4 };
    expect(refusal(connections({ team: profile }))).toMatch(
      /^"team.interactiveGenerations" in .* leaves none of the 4 generations to batches: make it smaller than that\.$/,
    );
    expect(refusal(connections({ team: { ...profile, interactiveGenerations: -1 } }))).toMatch(
      /^"team.interactiveGenerations" in .* must be a whole number from 0 to 999\.$/,
    );
  });

  it('refuses two connections called "default" and names both places', () => {
    const env = connections({ default: { url: 'http://h', apiKey: API_KEY } });
    const message = refusal({ ...env, OPENWEBUI_URL: 'http://h', OPENWEBUI_API_KEY: API_KEY });
    expect(message).toContain('OPENWEBUI_URL');
    expect(message).toContain(env.OPENWEBUI_CONNECTIONS);
  });

  it('warns where others may read secrets that stand in the file itself', () => {
    const inline = loadConfig(connections({ a: { url: 'http://h', apiKey: API_KEY } }, 0o644));
    expect(inline.warnings).toEqual([
      expect.stringMatching(/OPENWEBUI_CONNECTIONS.*open to other users: run "chmod 600"/),
    ]);
    const key = file('key', API_KEY);
    expect(loadConfig(connections({ a: { url: 'http://h', apiKeyFile: key } }, 0o644)).warnings).toEqual([]);
  });

  it.each([
    ['an unknown key', { a: { url: 'http://h', apikey: API_KEY } }, /"a\.apikey" in .* did you mean "apiKey"\?/],
    [
      'a name that objects have',
      { ['__proto__']: { url: 'http://h', apiKey: API_KEY } },
      /"__proto__" in .* is no name/,
    ],
    ['a bad name', { 'Team A': { url: 'http://h', apiKey: API_KEY } }, /"Team A" in .* is no name/],
    ['a list', [], /must be a JSON object/],
    ['no connection', {}, /holds no connection/],
    ['a connection that is no object', { a: 'http://h' }, /"a" in .* must be an object with url and credential/],
    ['a key that is no text', { a: { url: 'http://h', apiKey: 5 } }, /"a\.apiKey" in .* must be a text/],
    ['no credential', { a: { url: 'http://h' } }, /"a" has no credential: set "a\.apiKey" in/],
    ['a bad URL', { a: { url: 'h', apiKey: API_KEY } }, /"a\.url" in .* has no scheme/],
    [
      'generations out of bounds',
      { a: { url: 'http://h', apiKey: API_KEY, generations: 0 } },
      /"a\.generations" in .* from 1 to 1000/,
    ],
  ])('refuses %s', (_, profiles, sentence) => {
    expect(refusal(connections(profiles))).toMatch(sentence);
  });

  it('does not quote a file that is not JSON', () => {
    const env = {
      OPENWEBUI_CONNECTIONS: file('connections.json', `{\n "a": {"url": "http://h",\n "apiKey": '${API_KEY}'}}`),
    };
    expect(refusal(env)).toMatch(/is not valid JSON: check/);
  });

  it('names the variable when there is no such file', () => {
    expect(refusal({ OPENWEBUI_CONNECTIONS: '/nowhere/c.json' })).toMatch(
      /OPENWEBUI_CONNECTIONS names .* does not exist/,
    );
  });
});

describe('settings of the worker', () => {
  const CONNECTION = { OPENWEBUI_URL: 'http://h', OPENWEBUI_API_KEY: API_KEY };

  it('have defaults', () => {
    const { worker, limits, log, stateDirectory, warnings } = loadConfig({ ...CONNECTION, HOME: '/home/me' });
    expect(worker).toEqual({
      waits: 1000,
      heartbeatMs: 30_000,
      shutdownGraceMs: 20_000,
      stickyMs: 3_000,
      lostAfterMs: 45_000,
      heldTriggerMs: 330_000,
    });
    expect(limits).toEqual({ maxPromptBytes: 1_048_576, maxReplyBytes: 262_144 });
    expect(log).toEqual({ level: 'info' });
    expect(stateDirectory).toBe('/home/me/.local/state/openwebui-orchestrator');
    expect(warnings).toEqual([]);
  });

  it('are taken from the environment', () => {
    const config = loadConfig({
      ...CONNECTION,
      ORCHESTRATOR_HEARTBEAT_SECONDS: '5',
      ORCHESTRATOR_STICKY_SECONDS: '0.5',
      ORCHESTRATOR_METRICS_ADDRESS: '0.0.0.0:9464',
      ORCHESTRATOR_LOG_LEVEL: 'DEBUG',
      ORCHESTRATOR_LOG_FORMAT: 'json',
      XDG_STATE_HOME: '/state',
    });
    expect(config.worker).toMatchObject({ heartbeatMs: 5_000, stickyMs: 500, metricsAddress: '0.0.0.0:9464' });
    expect(config.log).toEqual({ level: 'debug', format: 'json' });
    expect(config.stateDirectory).toBe('/state/openwebui-orchestrator');
  });

  it.each([
    ['ORCHESTRATOR_GENERATIONS', '0', /must be a whole number of generations from 1 to 1000/],
    ['ORCHESTRATOR_GENERATIONS', 'canary', /must be a whole number/],
    ['ORCHESTRATOR_INTERACTIVE_GENERATIONS', '-1', /must be a whole number of generations from 0 to 999/],
    ['ORCHESTRATOR_INTERACTIVE_GENERATIONS', '10', /leaves none of the 10 generations to batches/],
    ['ORCHESTRATOR_WAITS', '1.5', /must be a whole number of waits/],
    ['ORCHESTRATOR_HEARTBEAT_SECONDS', '30s', /must be a number of seconds from 2 to 600/],
    ['ORCHESTRATOR_METRICS_ADDRESS', 'localhost:9464', /must be ip:port, for example/],
    ['ORCHESTRATOR_LOG_LEVEL', 'loud', /must be one of trace, debug, info, warn, error/],
    ['ORCHESTRATOR_MAX_REPLY_BYTES', '99999999', /from 1024 to 524288/],
  ])('refuses %s=%s', (variable, value, sentence) => {
    const message = refusal({ ...CONNECTION, [variable]: value });
    expect(message).toMatch(sentence);
    expect(message.startsWith(`${variable} `)).toBe(true);
  });

  it('warns of variables that it does not know, with the one that was meant', () => {
    const config = loadConfig({
      ...CONNECTION,
      OPENWEBUI_APIKEY: API_KEY,
      ORCHESTRATOR_NONSENSE_OF_ALL_KINDS: '1',
      OPENWEBUI_VERSION: '0.12.4',
      OPENWEBUI_SERVICE_HOST: '10.0.0.1',
      OPENWEBUI_PORT_8080_TCP_ADDR: '10.0.0.1',
    });
    expect(config.warnings).toEqual([
      'The variable OPENWEBUI_APIKEY is not known and has no effect: did you mean OPENWEBUI_API_KEY?',
      'The variable ORCHESTRATOR_NONSENSE_OF_ALL_KINDS is not known and has no effect.',
    ]);
  });

  it('are all described in docs/configuration.md', async () => {
    const documentation = await readFile(join(__dirname, '../docs/configuration.md'), 'utf8');
    expect(VARIABLES.filter((variable) => !documentation.includes(`\`${variable}\``))).toEqual([]);
  });
});
