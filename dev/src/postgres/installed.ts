import { globSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * A Postgres of this machine with its client programs, as Debian's packages lay it out; the newest. The embedded one
 * has a server and no pg_dump.
 */
export function installedPostgres(): string | undefined {
  const found = globSync('/usr/lib/postgresql/*/bin/pg_dump')
    .map((path) => dirname(dirname(path)))
    .filter((folder) => globSync(`${folder}/bin/{postgres,pg_restore,initdb}`).length === 3);
  return found.sort((a, b) => majorOf(b) - majorOf(a))[0];
}

const majorOf = (folder: string): number => Number(/(\d+)$/.exec(folder)?.[1]);
