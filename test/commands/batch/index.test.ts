import { batchCommand } from '../../../src/commands/batch';

describe('the batch commands', () => {
  const { commands } = batchCommand();

  it('are those of the guide', () => {
    const names = ['run', 'status', 'pause', 'resume', 'window', 'cancel', 'retry-failed', 'results', 'report', 'list'];
    expect(commands.map((command) => command.name()).sort()).toEqual(names.sort());
  });

  it.each(commands.map((command) => [command.name(), command] as const))(
    '%s has help with examples',
    (_name, command) => {
      let help = '';
      command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      expect(help).toMatch(/^Usage: [^]+Examples?:\n {2}\$ /);
    },
  );
});
