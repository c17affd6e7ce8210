import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const LISTENING = '0A';

/** Who listens on a port of this machine, for people: `pid 12 (nc -l 21000)`. Undefined where /proc does not say. */
export function portHolder(port: number): string | undefined {
  const sockets = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listenersOn(table, port)));
  if (sockets.size === 0) return undefined;
  for (const pid of entriesOf('/proc').filter((entry) => /^\d+$/.test(entry)))
    for (const fd of entriesOf(`/proc/${pid}/fd`))
      if (sockets.has(linkOf(`/proc/${pid}/fd/${fd}`))) return `pid ${pid} (${commandOf(pid)})`;
  return undefined;
}

/** Columns of a line: number, local address, remote address, state, …, inode as the tenth. */
function listenersOn(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return read(table)
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => state === LISTENING && local?.endsWith(suffix))
    .map((columns) => `socket:[${columns[9]}]`);
}

const MAX_COMMAND = 120;
const commandOf = (pid: string): string =>
  read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim().slice(0, MAX_COMMAND) ||
  'its command is not told';

// A process may end, or belong to somebody else, while we look.
const read = (path: string): string => orEmpty(() => readFileSync(path, 'utf8'));
const linkOf = (path: string): string => orEmpty(() => readlinkSync(path));
const entriesOf = (path: string): string[] => {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
};
function orEmpty(work: () => string): string {
  try {
    return work();
  } catch {
    return '';
  }
}
