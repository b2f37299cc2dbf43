import { spawn, type ChildProcess } from 'node:child_process';

/**
 * Remembers process groups by their leaders and kills them when its standard input closes, that is when the process
 * at the other end is gone, however it went.
 */
const SCRIPT = `
groups=
while read -r word group; do
  others=
  for known in $groups; do
    if [ "$known" != "$group" ]; then others="$others $known"; fi
  done
  groups=$others
  if [ "$word" = guard ]; then groups="$groups $group"; fi
done
for group in $groups; do
  kill -s KILL -- "-$group" 2>/dev/null
done
`;

let guardian: ChildProcess | undefined;

/** Lets the process group die when this process is killed without a chance to stop it. */
export function guard(group: number): void {
  tell(`guard ${group}\n`);
}

/** To be called when the group has ended: its number may soon be somebody else's. */
export function release(group: number): void {
  tell(`release ${group}\n`);
}

function tell(line: string): void {
  guardian ??= startGuardian();
  guardian.stdin?.write(line);
}

function startGuardian(): ChildProcess {
  // A session of its own, so that Ctrl-C in the terminal does not end it before its work is done.
  const child = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  child.unref();
  // A socket in fact, although the types know only a stream; it must not keep this process alive.
  (child.stdin as unknown as { unref(): void }).unref();
  child.stdin.on('error', () => (guardian = undefined));
  return child;
}
