/** What the documents say about the code is what the code says. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';
import { FAILURES, SEARCH_ATTRIBUTES } from '../../src/contract';

const ROOT = join(__dirname, '..', '..');
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

const DOCUMENTS = [
  ...readdirSync(ROOT).filter((file) => file.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs'))
    .filter((file) => file.endsWith('.md'))
    .map((file) => join('docs', file)),
];
const manifest = JSON.parse(read('package.json')) as {
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};

/** The lines of a document from a heading to the next one of its level or above. */
function section(file: string, heading: string): string {
  const text = read(file);
  const start = text.indexOf(`\n${heading}\n`);
  expect(start).toBeGreaterThan(-1);
  const level = heading.indexOf(' ');
  const end = text.slice(start + heading.length).search(new RegExp(`\\n#{1,${level}} `));
  return end === -1 ? text.slice(start) : text.slice(start, start + heading.length + end);
}

/** What stands in backticks in the first column of a section's tables. */
function firstColumn(text: string): string[] {
  const cells = [...text.matchAll(/^\| ([^|]*`[^|]*) \|/gm)].map(([, cell]) => cell ?? '');
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name ?? ''));
}

/** The members of an interface in a source file. */
function membersOf(file: string, name: string): string[] {
  const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest, true);
  const found = source.statements.find(
    (statement): statement is ts.InterfaceDeclaration =>
      ts.isInterfaceDeclaration(statement) && statement.name.text === name,
  );
  return (found?.members ?? []).map((member) => member.name?.getText() ?? '');
}

/** As GitHub makes anchors of headings. */
function anchorsOf(file: string): string[] {
  return [...read(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe('README.md', () => {
  it('has the two commands at its top', () => {
    const top = read('README.md').split('\n').slice(0, 12);
    expect(top).toContain('npm ci && npm run demo -- --json');
    expect(top).toContain('npm ci && npm test');
  });

  it('lists every field of the input', () => {
    const fields = membersOf('src/contract.ts', 'OrchestrateChatInput');
    expect(firstColumn(section('README.md', '## Input')).sort()).toEqual(fields.sort());
  });

  it('lists every field of the outcome', () => {
    const fields = membersOf('src/contract.ts', 'ChatOutcome');
    expect(firstColumn(section('README.md', '## Outcome')).sort()).toEqual(fields.sort());
  });

  it('lists every type of failure', () => {
    expect(firstColumn(section('README.md', '## Failures')).sort()).toEqual(Object.keys(FAILURES).sort());
  });

  it('lists the search attributes', () => {
    const listed = firstColumn(section('README.md', '## Looking at runs'));
    expect(listed.sort()).toEqual(Object.values(SEARCH_ATTRIBUTES).sort());
  });

  it('names each of the seven steps with activities that exist', () => {
    const steps = section('README.md', "## The tutorial's seven steps")
      .split('\n')
      .filter((line) => /^\| \d /.test(line));
    expect(steps).toHaveLength(7);
    for (const step of steps) {
      const activity = /`(\w+)`/.exec(step.split('|')[2] ?? '')?.[1] ?? '';
      expect(existsSync(join(ROOT, 'src', 'activities', `${activity}.ts`))).toBe(true);
    }
  });
});

describe('docs/open-webui.md', () => {
  it('lists every capability', () => {
    const capabilities = membersOf('src/openwebui/capabilities.ts', 'Capabilities').filter(
      (name) => name !== 'version',
    );
    const listed = firstColumn(section('docs/open-webui.md', '## What a server can do'));
    expect(listed.sort()).toEqual(capabilities.sort());
  });
});

describe('CONTRIBUTING.md', () => {
  it('gives a reason for every dependency, and for nothing else', () => {
    const dependencies = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
    expect(firstColumn(section('CONTRIBUTING.md', '## Dependencies')).sort()).toEqual(dependencies.sort());
  });

  it('names only files and folders that exist', () => {
    const paths = firstColumn(section('CONTRIBUTING.md', '## Layout')).map((path) =>
      path.includes('/') || existsSync(join(ROOT, path)) ? path : join('src', 'openwebui', path),
    );
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});

describe.each(DOCUMENTS)('%s', (file) => {
  it('has only commands that exist', () => {
    const named = [...read(file).matchAll(/npm run (?:-s )?([\w:-]+)/g)].map(([, name]) => name ?? '');
    expect(named.filter((name) => manifest.scripts[name] === undefined)).toEqual([]);
  });

  it('has only links that lead somewhere', () => {
    const links = [...read(file).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, link]) => link ?? '');
    const broken = links.filter((link) => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? file : relative(ROOT, join(ROOT, dirname(file), path));
      if (!existsSync(join(ROOT, target))) return true;
      return anchor !== undefined && !anchorsOf(target).includes(anchor);
    });
    expect(broken).toEqual([]);
  });
});
