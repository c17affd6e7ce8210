import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { type BinaryName, binaries, releaseOf } from './versions.ts';

/** `$FELUCCA_CACHE` or `~/.cache/felucca`: shared by every stack and test run of this user. */
export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  return resolve(environment['FELUCCA_CACHE'] ?? join(homedir(), '.cache', 'felucca'));
}

export function cachedBinaryPath(name: BinaryName): string {
  return join(cacheDirectory(), 'bin', `${binaries[name].release}-${releaseOf(name).version}`, name);
}
