const shared = {
  testEnvironment: 'node',
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
        module: { type: 'commonjs' },
        sourceMaps: 'inline',
      },
    ],
  },
};

/** Started once for all the tests of a project; projects that do not name it pay nothing. */
const realServers = {
  globalSetup: '<rootDir>/test/support/globalSetup.ts',
  globalTeardown: '<rootDir>/test/support/globalTeardown.ts',
};

const NOT_UNIT = ['integration', 'e2e', 'contract', 'proofs', 'long'];

/** @type {import('jest').Config} */
module.exports = {
  // The tests wait more than they compute.
  maxWorkers: 3,
  // Jest takes this for all projects; what needs longer says so itself.
  testTimeout: 120_000,
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: ['<rootDir>/test/**/*.test.ts'],
      testPathIgnorePatterns: ['/node_modules/', ...NOT_UNIT.map((directory) => `<rootDir>/test/${directory}/`)],
    },
    {
      ...shared,
      // These start a Temporal of their own.
      displayName: 'integration',
      testMatch: ['<rootDir>/test/integration/**/*.test.ts'],
    },
    {
      ...shared,
      ...realServers,
      displayName: 'real',
      testMatch: ['<rootDir>/test/{e2e,contract}/**/*.test.ts'],
    },
    {
      ...shared,
      ...realServers,
      displayName: 'proofs',
      testMatch: ['<rootDir>/test/proofs/**/*.test.ts'],
    },
    {
      ...shared,
      ...realServers,
      displayName: 'long',
      testMatch: ['<rootDir>/test/long/**/*.test.ts'],
    },
  ],
};
