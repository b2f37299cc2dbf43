import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { workerCommand } from '../src/workerHelp';

describe('the help of the worker', () => {
  let help = '';
  workerCommand()
    .configureOutput({ writeOut: (text) => (help += text) })
    .outputHelp();

  it('says what it needs, where all of it is said, and how it is called', () => {
    expect(help).toMatch(/^Usage: npm run worker -- [^]+docs\/configuration\.md[^]+Examples:\n {2}\$ OPENWEBUI_URL=/);
  });

  it('names variables that the documents explain', () => {
    const documented = readFileSync(join(__dirname, '..', 'docs', 'configuration.md'), 'utf8');
    const names = help.match(/\b(?:OPENWEBUI|TEMPORAL)_\w+/g) ?? [];
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) expect(documented).toContain(name);
  });

  it('is all that an argument gets', () => {
    const refused = workerCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => undefined });
    expect(() => refused.parse(['now'], { from: 'user' })).toThrow('too many arguments');
  });
});
