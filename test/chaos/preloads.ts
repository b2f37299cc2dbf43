/** What a worker process runs before its program, and beside it, where nothing from outside can do to it what has to be done. */

/** It writes whenever it wakes, whatever Temporal thinks of its attempt. Nothing else is changed. */
export const WITHOUT_FENCE = `
const path = require.resolve('./activities/fence.js');
const fence = require(path);
require.cache[path].exports = { ...fence, passFence: async () => undefined };
`;

/** For `sh -c`: the program that follows may have so many files and sockets open, and Node cannot ask for more. */
export const FEW_FILES = 'ulimit -n 256 && exec "$0" "$@"';

/** How a process is told to take all of its file descriptors, and what it writes to its log when none is left. */
export const TAKE_FILES = { signal: 'SIGHUP', done: 'no file descriptor is left' } as const;
const TAKEN_FOR_MS = 8_000;

/** Those that the process gives back meanwhile are taken, too. */
export const TAKES_FILES = `
const { closeSync, openSync, writeSync } = require('node:fs');
process.on('${TAKE_FILES.signal}', () => {
  const taken = [];
  const take = () => {
    try {
      for (;;) taken.push(openSync('/dev/null', 'r'));
    } catch (error) {
      return error.code;
    }
  };
  writeSync(2, take() + ': ${TAKE_FILES.done}\\n');
  const again = setInterval(take, 5);
  setTimeout(() => {
    clearInterval(again);
    for (const file of taken) closeSync(file);
  }, ${TAKEN_FOR_MS});
});
`;
