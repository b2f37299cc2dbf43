/** Dockerfile, docker-compose.yml and .env.example fit each other and the code; no Docker is needed to see that. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config';
import { SEARCH_ATTRIBUTES } from '../../src/contract';
import { NEWEST_KNOWN } from '../../src/openwebui/capabilities';

interface ComposeService {
  image?: string;
  build?: string;
  command?: string[];
  environment?: Record<string, string>;
  ports?: string[];
  volumes?: string[];
  healthcheck?: unknown;
  restart?: string;
  depends_on?: Record<string, { condition: string }>;
  stop_grace_period?: string;
  mem_limit?: string;
}
interface Compose {
  services: Record<'temporal' | 'open-webui' | 'worker', ComposeService>;
  volumes: Record<string, unknown>;
}

const ROOT = join(__dirname, '..', '..');
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

const source = read('docker-compose.yml');
const compose = parse(source) as Compose;
const services = Object.entries(compose.services);
const { temporal, worker } = compose.services;
const dockerfile = read('Dockerfile');

/** dclint, as a program: the types of its library cannot be resolved from CommonJS. */
const DCLINT = join(dirname(require.resolve('dclint/package.json')), 'bin', 'dclint.cjs');

interface LintedFile {
  messages: Array<{ message: string }>;
}

const MATTERS_OF_ORDER = [
  'service-keys-order',
  'services-alphabetical-order',
  'service-dependencies-alphabetical-order',
];

/** What is wrong with a file by the Compose Specification's schema, and by the linter's rules about mistakes. */
function faultsIn(file: string): string[] {
  const args = [DCLINT, file, '--formatter', 'json', '--disable-rule', ...MATTERS_OF_ORDER];
  const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return (JSON.parse(stdout) as LintedFile[]).flatMap(({ messages }) => messages.map(({ message }) => message));
}

describe('docker-compose.yml', () => {
  it('is valid by the Compose Specification', () => {
    expect(faultsIn(join(ROOT, 'docker-compose.yml'))).toEqual([]);
  });

  it('would not be with a key that the specification does not know', () => {
    const directory = mkdtempSync(join(tmpdir(), 'compose-test-'));
    try {
      const file = join(directory, 'docker-compose.yml');
      writeFileSync(file, source.replace('restart: unless-stopped', 'restarts: unless-stopped'));
      expect(faultsIn(file)).toEqual([expect.stringContaining('must NOT have additional properties')]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('publishes ports on this machine only', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? []);
    expect(ports.length).toBeGreaterThan(0);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  it('holds no secret itself', () => {
    const secrets = services
      .flatMap(([, { environment = {} }]) => Object.entries(environment))
      .filter(([name]) => /KEY|PASSWORD|SECRET|TOKEN/.test(name));
    expect(secrets.length).toBeGreaterThan(0);
    for (const [, value] of secrets) expect(value).toMatch(/^\$\{\w+:(\?[^}]+|-)\}$/);
  });

  it('keeps what has to survive a restart on volumes, and starts every part again', () => {
    for (const [, { volumes = [], restart }] of services) {
      expect(restart).toBe('unless-stopped');
      expect(volumes.map((volume) => volume.split(':')[0]).filter((name) => !(name ?? '' in compose.volumes))).toEqual(
        [],
      );
      expect(volumes).not.toHaveLength(0);
    }
    const database = flags('--db-filename').at(0) ?? '';
    expect(temporal.volumes?.some((volume) => database.startsWith(`${volume.split(':')[1]}/`))).toBe(true);
    const state = /ORCHESTRATOR_STATE_DIRECTORY=(\S+)/.exec(dockerfile)?.[1];
    expect(worker.volumes).toContainEqual(expect.stringMatching(new RegExp(`:${state}$`)));
  });

  it('registers the search attributes', () => {
    expect(flags('--search-attribute')).toEqual(Object.values(SEARCH_ATTRIBUTES).map((name) => `${name}=Keyword`));
  });

  it('tunes Temporal as the documentation says', () => {
    const documented = [
      /```yaml\n(history\.[\s\S]*?)```/.exec(read('docs/operations.md'))?.[1] ?? '',
      /```yaml\n(matching\.[\s\S]*?)```/.exec(read('docs/configuration.md'))?.[1] ?? '',
    ];
    const values = parse(documented.join('')) as Record<string, Array<{ value: string | number | boolean }>>;
    const wanted = Object.entries(values).map(([key, [entry]]) => `${key}=${JSON.stringify(entry?.value)}`);
    expect(wanted).toHaveLength(5);
    expect(flags('--dynamic-config-value')).toEqual(wanted);
  });

  it('has a health check for each part, and lets the worker wait for the others', () => {
    expect(temporal.healthcheck).toBeDefined();
    expect(compose.services['open-webui'].healthcheck).toBeDefined();
    expect(dockerfile).toMatch(/^HEALTHCHECK /m);
    expect(worker.depends_on).toEqual({
      temporal: { condition: 'service_healthy' },
      'open-webui': { condition: 'service_healthy' },
    });
  });

  it('runs the newest release of Open WebUI that is known', () => {
    expect(compose.services['open-webui'].image).toBe(`ghcr.io/open-webui/open-webui:v${NEWEST_KNOWN}`);
  });

  it('gives the worker settings that it accepts without a warning', () => {
    const entries = Object.entries(worker.environment ?? {}).map(([name, value]) => [name, filledIn(value)]);
    const config = loadConfig(Object.fromEntries(entries) as NodeJS.ProcessEnv);
    expect(config.warnings).toEqual([]);
    expect([...config.connections.keys()]).toEqual(['default']);
    expect(Number.parseInt(worker.stop_grace_period ?? '', 10) * 1000).toBeGreaterThan(config.worker.shutdownGraceMs);
  });

  it('leaves memory outside the heap of V8', () => {
    const heap = Number(/--max-old-space-size=(\d+)/.exec(worker.environment?.['NODE_OPTIONS'] ?? '')?.[1]);
    expect(worker.mem_limit).toBe('1g');
    expect(heap / 1024).toBeLessThan(0.7);
  });
});

describe('.env.example', () => {
  const offered = [...read('.env.example').matchAll(/^(\w+)=/gm)].map(([, name]) => name);

  it('has every variable that the compose file demands', () => {
    const demanded = [...source.matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name);
    expect(offered).toEqual(expect.arrayContaining(demanded));
  });

  it('has none that the compose file does not use', () => {
    for (const name of offered) expect(source).toContain(`\${${name}:`);
  });
});

describe('Dockerfile', () => {
  it('copies only what .dockerignore lets through, and .dockerignore nothing besides', () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(
      ([, files]) => files?.split(' ') ?? [],
    );
    const allowed = [...read('.dockerignore').matchAll(/^!(\S+)$/gm)].map(([, file]) => file);
    expect(read('.dockerignore')).toMatch(/^\*$/m);
    expect([...new Set(copied)].sort()).toEqual(allowed.sort());
  });

  it('does not run as root', () => {
    expect(dockerfile.slice(dockerfile.lastIndexOf('\nFROM '))).toMatch(/^USER node$/m);
  });

  it.each([
    ['healthy while the worker polls', 'temporal_num_pollers{task_queue="openwebui-chat"} 5\n', 0],
    ['unhealthy while it polls nothing', 'temporal_num_pollers{task_queue="openwebui-chat"} 0\n', 1],
    ['unhealthy without its metrics', undefined, 1],
  ])('has a health check that is %s', async (_what, metrics, code) => {
    const server = createServer((_request, response) => response.end(metrics)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    if (metrics === undefined) server.close();
    try {
      expect(await exitCodeOfHealthCheck(address)).toBe(code);
    } finally {
      server.close();
    }
  });
});

/** Values of a flag in Temporal's command. */
function flags(name: string): string[] {
  return (temporal.command ?? []).flatMap((part) => (part.startsWith(`${name}=`) ? [part.slice(name.length + 1)] : []));
}

/** A value with its variables replaced: by their defaults, or by something where they have to be set. */
function filledIn(value: string): string {
  return value.replace(/\$\{(\w+):([?-])([^}]*)\}/g, (_all, name: string, kind: string, text: string) =>
    kind === '-' ? text : `${name.toLowerCase()}@example.com`,
  );
}

async function exitCodeOfHealthCheck(address: string): Promise<number> {
  const command = /^HEALTHCHECK [^[]*(\[.*\])$/ms.exec(dockerfile)?.[1]?.split('\n')[0] ?? '';
  const [, ...args] = JSON.parse(command) as string[];
  const child = spawn(process.execPath, args, { env: { ORCHESTRATOR_METRICS_ADDRESS: address }, stdio: 'ignore' });
  const [code] = (await once(child, 'exit')) as [number];
  return code;
}
