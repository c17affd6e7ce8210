import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { cachedBinaryPath } from './cache.ts';
import type { BinaryName } from './versions.ts';

export async function resolveBinary(name: BinaryName): Promise<string> {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  const candidates = [...(assets === undefined ? [] : [join(assets, name)]), cachedBinaryPath(name)];
  const found = candidates.find(isExecutable);
  if (found !== undefined) return found;
  throw new Error(`${name} is not in ${candidates.join(' or ')}`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
