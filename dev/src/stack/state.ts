import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { cacheDirectory } from '../binaries/cache.ts';
import { freePort } from '../process/free-port.ts';
import { identify, isAlive, type ProcessIdentity } from '../process/identity.ts';
import { replaceFile } from '../process/replace-file.ts';

/** What a stack keeps on disk: keys, addresses, logs, and who runs it. */
export interface StateFolder {
  readonly path: string;
  readonly logs: string;
  /** The stored value, or a new one that is stored now; readable by this user only. */
  remember(name: string, make: () => string): string;
  store(name: string, value: string): void;
  /**
   * Notes this process, and the checkout that it is of, as the one that runs the stack.
   * @returns the checkout that ran it before, if there was one @throws if another process runs it
   */
  claim(checkout: string): string | undefined;
  release(): void;
}

export function stackFolder(name: string, environment: NodeJS.ProcessEnv = process.env): string {
  const root = environment['FELUCCA_STATE'] ?? join(homedir(), '.local/state/felucca');
  return join(resolve(root), name);
}

/** Name of the embedded server of a kept stack: its data can't live in the folder, but must follow it. */
export function databaseName(folder: string): string {
  return `${basename(folder)}-${createHash('sha256').update(folder).digest('hex').slice(0, 8)}`;
}

/** A folder that goes with its process; those of dead processes are removed here. */
export function temporaryFolder(name: string): string {
  const root = join(cacheDirectory(), 'stacks');
  mkdirSync(root, { recursive: true });
  for (const entry of readdirSync(root)) {
    const owner = readOwner(join(root, entry));
    const pid = Number(entry.split('-').at(-1));
    const alive = owner === undefined ? identify(pid) !== undefined : isAlive(owner);
    if (!alive) rmSync(join(root, entry), { recursive: true, force: true });
  }
  return join(root, `${name}-${process.pid}`);
}

export function openState(path: string): StateFolder {
  const logs = join(path, 'logs');
  mkdirSync(logs, { recursive: true, mode: 0o700 });
  return {
    path,
    logs,
    remember(name, make) {
      const file = join(path, name);
      if (!existsSync(file)) replaceFile(file, make());
      return readFileSync(file, 'utf8');
    },
    store: (name, value) => replaceFile(join(path, name), value),
    claim(checkout) {
      const file = join(path, 'checkout');
      const before = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
      const owner = readOwner(path);
      if (owner !== undefined && owner.pid !== process.pid && isAlive(owner)) {
        throw new Error(
          `This stack already runs (pid ${owner.pid}, checkout ${before ?? 'not known'}); "make down" stops it, ` +
            'and NAME=<other> make up starts another one beside it',
        );
      }
      replaceFile(join(path, 'owner.json'), JSON.stringify(identify(process.pid)));
      replaceFile(file, checkout);
      return before;
    },
    release: () => rmSync(join(path, 'owner.json'), { force: true }),
  };
}

/** State goes by name, not by checkout: whoever starts from a second one must know whose data they see. */
export function foundState(path: string, before: string | undefined, checkout: string): string {
  if (before === undefined) return `state in ${path}`;
  if (before === checkout) return `state in ${path}, as this checkout left it`;
  return `state in ${path}, as the checkout ${before} left it; NAME=<other> make up keeps this one's apart`;
}

/** The process that runs the stack in this folder, dead or alive. */
export function readOwner(path: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(join(path, 'owner.json'), 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

/** The format of the API's keys, so that the first one can exist before the API runs. */
export function newPlatformKey(): string {
  const body = `fel_${randomUUID().replaceAll('-', '')}_${randomBytes(32).toString('base64url')}`;
  return `${body}${crc32(body).toString(16).padStart(8, '0')}`;
}

/** The port of the last start, or another one if something took it meanwhile. */
export async function keptPort(state: StateFolder, name: string, host: string): Promise<number> {
  const before = Number(state.remember(name, () => '0'));
  const port = await freePort(host, before).catch(() => freePort(host));
  if (port !== before) state.store(name, String(port));
  return port;
}
