import { execFile } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { resolveBinary } from '../binaries/resolve.ts';
import { cleanStaleClusters } from '../cluster/slots.ts';
import { removePostgresData } from '../postgres/index.ts';
import { isAlive, killIfSame } from '../process/identity.ts';
import { databaseName, readOwner, stackFolder } from '../stack/index.ts';

const stopTimeoutMs = 90_000;
const run = promisify(execFile);

export interface DownOptions {
  readonly name: string;
  /** Also remove keys, database and cluster. */
  readonly purge: boolean;
  readonly say: (line: string) => void;
}

/** Stops a running stack from another process, and cleans after one that was killed. */
export async function down({ name, purge, say }: DownOptions): Promise<void> {
  const folder = stackFolder(name);
  const owner = readOwner(folder);
  if (owner !== undefined && isAlive(owner)) {
    say(`stopping "${name}" (pid ${owner.pid})`);
    process.kill(owner.pid, 'SIGTERM');
    const deadline = performance.now() + stopTimeoutMs;
    while (isAlive(owner) && performance.now() < deadline) await delay(100);
    if (isAlive(owner)) {
      say(`it did not stop within ${stopTimeoutMs / 1000} s and is killed`);
      killIfSame(owner);
    }
  } else {
    say(`"${name}" does not run`);
  }
  await cleanStaleClusters();
  if (!purge) return;
  if (existsSync(join(folder, 'cluster', 'kind.yaml'))) {
    await run(await resolveBinary('kind'), ['delete', 'cluster', '--name', `felucca-${name}`]);
  }
  removePostgresData(databaseName(folder));
  rmSync(folder, { recursive: true, force: true });
  await cleanStaleClusters();
  say(`removed the data of "${name}"`);
}
