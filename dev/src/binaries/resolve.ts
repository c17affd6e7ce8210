import { accessSync, constants, existsSync } from 'node:fs';
import { chmod, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from '../process/lock.ts';
import { cacheDirectory, cachedBinaryPath } from './cache.ts';
import { downloadRelease } from './download.ts';
import { goBuild } from './go-build.ts';
import type { BinaryName } from './versions.ts';

const lockTimeoutMs = 3_600_000;

/**
 * The path of a program at its pinned version: from `$KUBEBUILDER_ASSETS`, else the cache, else its official
 * release, else built from source. Downloads and builds happen one at a time on a machine, whoever asks.
 */
export async function resolveBinary(
  name: BinaryName,
  onProgress: (line: string) => void = (line) => process.stderr.write(`${line}\n`),
): Promise<string> {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets !== undefined && isExecutable(join(assets, name))) return join(assets, name);
  const cached = cachedBinaryPath(name);
  if (isExecutable(cached)) return cached;
  const lock = join(cacheDirectory(), 'bin', 'fetch.lock');
  await withLock(lock, { timeoutMs: lockTimeoutMs, purpose: `fetch ${name}`, onWait }, async () => {
    if (isExecutable(cached)) return;
    await obtain(name, cached, onProgress);
  });
  return cached;

  function onWait(holder: string, elapsedMs: number): void {
    onProgress(`waiting for ${holder} (${Math.round(elapsedMs / 1000)} s)`);
  }
}

async function obtain(name: BinaryName, target: string, onProgress: (line: string) => void): Promise<void> {
  // Made beside its final place and renamed, so that nobody ever runs half a program.
  const work = `${target}.${process.pid}`;
  try {
    const whyNot = await downloadRelease(name, work, onProgress);
    if (whyNot !== undefined) {
      onProgress(`no official download of ${name}: ${whyNot}`);
      await goBuild(name, work, onProgress).catch((error: Error) => {
        throw new Error(
          `Cannot get ${name}. Download: ${whyNot}. Build: ${error.message}. ` +
            `Remedy: allow one of them (Go 1.26 or newer), or put ${name} into ${target}`,
        );
      });
    }
    await chmod(work, 0o755);
    await rename(work, target);
  } finally {
    if (existsSync(work)) await rm(work, { force: true });
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
