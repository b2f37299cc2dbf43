import { builtinModules } from 'node:module';
import js from '@eslint/js';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

const nodeBuiltins = builtinModules.filter((name) => !name.startsWith('_')).flatMap((name) => [name, `node:${name}`]);

export default tseslint.config(
  { ignores: ['dist/', 'coverage/', 'test/recordings/', 'test/histories/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-deprecated': 'warn',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      'object-shorthand': 'error',
      'no-console': 'error',
    },
  },
  {
    // A pattern that holds what a server has sent may be too large, or take for ever.
    files: ['src/**/*.ts'],
    ignores: ['src/openwebui/providerTrouble.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        { selector: "NewExpression[callee.name='RegExp']", message: 'Patterns are written down, not built from data.' },
      ],
    },
  },
  {
    // Command-line programs speak through standard output.
    files: ['dev/**/*.ts', 'bench/**/*.ts', 'src/starter.ts', 'examples/**/*.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    // What the workflow bundler sees must stay deterministic and small.
    files: ['src/workflows/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: [
            ...nodeBuiltins.map((name) => ({ name, message: 'Workflow code runs in a sandbox without Node.' })),
            ...['undici', 'zod', 'pino', 'socket.io-client', 'commander'].map((name) => ({
              name,
              message: 'Do I/O and validation in activities or in the client.',
            })),
            ...['@temporalio/client', '@temporalio/worker', '@temporalio/activity'].map((name) => ({
              name,
              message: 'Workflow code imports only @temporalio/workflow.',
            })),
          ],
        },
      ],
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              group: ['../activities', '../activities/*', '../openwebui/*'],
              allowTypeImports: true,
              message: 'Workflows know activities by type only.',
            },
          ],
        },
      ],
    },
  },
  {
    // No worker's wall clock decides anything, see src/clocks.ts.
    files: ['src/activities/**/*.ts', 'src/openwebui/**/*.ts'],
    // This one looks whether the wall clock was set, or stood still less than the process.
    ignores: ['src/activities/standStill.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        {
          object: 'Date',
          property: 'now',
          message: "Use now() and msSince() of src/clocks.ts, or another's clock by its name.",
        },
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: "NewExpression[callee.name='Date'][arguments.length=0], CallExpression[callee.name='Date']",
          message: "Use now() and msSince() of src/clocks.ts, or another's clock by its name.",
        },
      ],
    },
  },
  { files: ['**/*.js', '**/*.mjs'], languageOptions: { globals: { module: 'readonly', process: 'readonly' } } },
  prettier,
);
