import { renameSync, writeFileSync } from 'node:fs';

/** Whoever reads the file meanwhile, or after a crash, finds the old content or the new one, whole. Only for its owner. */
export function replaceFile(path: string, content: string): void {
  writeFileSync(`${path}.new`, content, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
