import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ImageArchive } from './archive.ts';
import { bundleProgram, repository } from './bundle.ts';
import type { ImageName } from './definitions.ts';

const run = promisify(execFile);
const buildTimeoutMs = 600_000;

/** The ordinary Dockerfiles, where this machine has no Linux libraries to pack. Docker's own cache makes it quick. */
export async function buildWithDocker(name: ImageName, folder: string): Promise<ImageArchive> {
  mkdirSync(folder, { recursive: true });
  if (name === 'control-api' || name === 'operator') await bundleProgram(name);
  const reference = name === 'postgres' ? 'felucca/postgres:18' : `felucca/${name}:dev`;
  const archive = join(folder, `${name}-docker.tar`);
  const options = { cwd: repository, timeout: buildTimeoutMs, maxBuffer: 64 * 1024 * 1024 };
  await run('docker', ['build', '-f', `dev/images/${name}/Dockerfile`, '-t', reference, '.'], options);
  await run('docker', ['save', '-o', archive, reference], options);
  return { name, reference, archive };
}
