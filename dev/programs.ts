import { access, constants } from 'node:fs/promises';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';

/** The path of a program that `PATH`, or another list of directories, leads to. */
export async function onPath(program: string, directories = process.env.PATH ?? ''): Promise<string | undefined> {
  for (const directory of directories.split(delimiter).filter(Boolean)) {
    const path = join(directory, program);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

export async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Tells a machine without a network from one with; behind a proxy nothing can be told, so it counts as one with. */
export async function isReachable(host: string): Promise<boolean> {
  const { HTTPS_PROXY, https_proxy, ALL_PROXY, all_proxy } = process.env;
  if (HTTPS_PROXY || https_proxy || ALL_PROXY || all_proxy) return true;
  return new Promise((resolve) => {
    const socket = connect({ host, port: 443, timeout: 5_000 });
    const settle = (reachable: boolean) => {
      socket.destroy();
      resolve(reachable);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.once('timeout', () => settle(false));
  });
}
