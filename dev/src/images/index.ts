import { join } from 'node:path';
import { cacheDirectory } from '../binaries/cache.ts';
import { withLock } from '../process/lock.ts';
import { type ImageArchive, packImage } from './archive.ts';
import { defineImage, type ImageName, imageNames } from './definitions.ts';
import { buildWithDocker } from './docker.ts';

export type { ImageArchive } from './archive.ts';
export { type ImageName, imageNames } from './definitions.ts';

const lockTimeoutMs = 300_000;

/**
 * Builds images without Docker, from this machine's libraries (elsewhere than on Linux with Docker). What did not
 * change is found in the cache.
 */
export async function buildImages(
  names: readonly ImageName[] = imageNames,
  onProgress: (line: string) => void = () => {},
): Promise<Record<ImageName, ImageArchive>> {
  const folder = join(cacheDirectory(), 'images');
  const built: Partial<Record<ImageName, ImageArchive>> = {};
  await withLock(
    join(folder, 'build.lock'),
    { timeoutMs: lockTimeoutMs, purpose: 'build images' },
    async () => {
      for (const name of names) {
        const started = performance.now();
        const { cached, ...image } =
          process.platform === 'linux'
            ? packImage(await defineImage(name), folder)
            : { ...(await buildWithDocker(name, folder)), cached: false };
        built[name] = image;
        const took = cached ? 'unchanged' : `${((performance.now() - started) / 1000).toFixed(1)} s`;
        onProgress(`image ${image.reference} (${took}): ${image.archive}`);
      }
    },
  );
  return built as Record<ImageName, ImageArchive>;
}
