import { execFileSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { TarEntry } from './tar.ts';

// Before glibc 2.34 these are loaded by name at run time, so the loader does not list them.
const loadedByName = ['libnss_files.so.2', 'libnss_dns.so.2', 'libresolv.so.2'];

/**
 * The loader and shared libraries of this machine that a program needs, each at its own path. What lies below
 * `except` is packed elsewhere.
 */
export function librariesOf(programs: readonly string[], except?: string): TarEntry[] {
  const found = new Set<string>();
  for (const program of programs) {
    const listed = execFileSync('ldd', [program], { encoding: 'utf8' });
    if (/not found/.test(listed)) {
      throw new Error(`${program} lacks a library on this machine; install it:\n${listed.trim()}`);
    }
    for (const match of listed.matchAll(/(?:=> |^\s+)(\/\S+)/gm)) {
      const path = match[1]!;
      if (except === undefined || !realpathSync(path).startsWith(`${realpathSync(except)}/`)) found.add(path);
    }
  }
  const libc = [...found].find((path) => basename(path) === 'libc.so.6');
  for (const name of libc === undefined ? [] : loadedByName) {
    const path = join(dirname(libc!), name);
    if (existsSync(path)) found.add(path);
  }
  return [...found].sort().map((path) => ({ path: path.slice(1), mode: 0o755, file: realpathSync(path) }));
}
