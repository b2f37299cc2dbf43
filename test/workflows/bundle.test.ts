import { builtinModules } from 'node:module';
import { workflowBundle } from '../../dev/workflowBundle';

/** Source files and packages that the bundler has put in, as its comments and its source map name them. */
let modules: string[];
let code: string;

beforeAll(async () => {
  const bundle = await workflowBundle();
  code = bundle.code.replace(/^\/\/# sourceMappingURL=.*$/m, '');
  const map = /sourceMappingURL=data:application\/json[^,]*;base64,(\S+)/.exec(bundle.code)?.[1] ?? '';
  modules = (JSON.parse(Buffer.from(map, 'base64').toString('utf8')) as { sources: string[] }).sources;
}, 120_000);

const withPath = (path: string): string[] => modules.filter((module) => module.includes(path));

describe('the bundle of the workflows', () => {
  it('holds the workflows and what they are allowed to share', () => {
    const own = withPath('/src/').filter((module) => !module.includes('node_modules'));
    const paths = own.map((module) => /\/src\/(.*)$/.exec(module)?.[1] ?? module);
    expect(paths).toContain('workflows/orchestrateChat.ts');
    expect(paths.filter((path) => !path.startsWith('workflows/'))).toEqual([
      'batchContract.ts',
      'contract.ts',
      'replyJson.ts',
      'runs.ts',
      'usage.ts',
    ]);
  });

  it.each(['activities', 'openwebui', 'client', 'chatInput', 'config', 'logging'])(
    'holds nothing of src/%s',
    (name) => {
      expect(withPath(`/src/${name}`).filter((module) => !module.includes('node_modules'))).toEqual([]);
    },
  );

  it.each(['undici', 'zod', 'pino', 'socket.io-client', 'engine.io-client', 'uuid', 'commander', '@temporalio/client'])(
    'does not hold the package %s',
    (name) => {
      expect(withPath(`/node_modules/${name}/`)).toEqual([]);
    },
  );

  it('asks for no module of Node', () => {
    // What the SDK replaces in its sandbox is no module of Node.
    const provided = ['assert', 'url', 'util'];
    const builtins = builtinModules.filter((name) => !name.startsWith('_') && !provided.includes(name));
    expect(modules.filter((module) => builtins.some((name) => module.endsWith(`external "${name}"`)))).toEqual([]);
    expect(builtins.filter((name) => new RegExp(`require\\(["'](?:node:)?${name}["']\\)`).test(code))).toEqual([]);
  });

  it('is small: it is loaded into every sandbox', () => {
    expect(code.length).toBeLessThan(700_000);
  });
});
