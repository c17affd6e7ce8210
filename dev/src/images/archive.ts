import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TarEntry, writeTar } from './tar.ts';

export interface ImageDefinition {
  readonly name: string;
  readonly reference: string;
  /** From the one that changes least to the one that changes most. */
  readonly layers: readonly (readonly TarEntry[])[];
  /** `config` of the OCI image configuration. */
  readonly config: Readonly<Record<string, unknown>>;
}

export interface ImageArchive {
  readonly name: string;
  readonly reference: string;
  /** Docker archive, .tar, for `Cluster.loadImage`, `docker load` and `crane push`. */
  readonly archive: string;
}

const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
const keptPerImage = 4;

/** Packs an image into `folder`, or finds it there: the file name carries a hash of everything that goes in. */
export function packImage(image: ImageDefinition, folder: string): ImageArchive & { cached: boolean } {
  mkdirSync(folder, { recursive: true });
  const archive = join(folder, `${image.name}-${contentHash(image)}.tar`);
  const answer = { name: image.name, reference: image.reference, archive };
  if (existsSync(archive)) {
    utimesSync(archive, new Date(), new Date());
    return { ...answer, cached: true };
  }
  const work = `${archive}.${process.pid}`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work);
  try {
    const layers = image.layers.map((entries, index) => {
      const file = join(work, `layer-${index}.tar`);
      return { file, digest: writeTar(file, entries) };
    });
    const config = JSON.stringify({
      architecture,
      os: 'linux',
      config: image.config,
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${layer.digest}`) },
      history: layers.map(() => ({ created: '1970-01-01T00:00:00Z', created_by: 'felucca' })),
    });
    const manifest = JSON.stringify([
      {
        Config: 'config.json',
        RepoTags: [image.reference],
        Layers: layers.map((layer) => `${layer.digest}.tar`),
      },
    ]);
    writeTar(join(work, 'image.tar'), [
      { path: 'manifest.json', mode: 0o644, content: manifest },
      { path: 'config.json', mode: 0o644, content: config },
      ...layers.map((layer) => ({ path: `${layer.digest}.tar`, mode: 0o644, file: layer.file })),
    ]);
    renameSync(join(work, 'image.tar'), archive);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  forgetOldArchives(folder, image.name);
  return { ...answer, cached: false };
}

function contentHash(image: ImageDefinition): string {
  const hash = createHash('sha256').update(
    JSON.stringify(['v1', architecture, image.reference, image.config]),
  );
  for (const entries of image.layers) {
    hash.update('\nlayer');
    for (const entry of entries) {
      const { path, ...rest } = entry;
      const what =
        'file' in rest
          ? [rest.mode, sha256(readFileSync(rest.file))]
          : 'content' in rest
            ? [rest.mode, sha256(rest.content)]
            : Object.values(rest);
      hash.update(`\n${JSON.stringify([path, ...what])}`);
    }
  }
  return hash.digest('hex').slice(0, 16);
}

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

function forgetOldArchives(folder: string, name: string): void {
  const pattern = new RegExp(`^${name}-[0-9a-f]{16}\\.tar$`);
  const archives = readdirSync(folder)
    .filter((file) => pattern.test(file))
    .map((file) => ({ path: join(folder, file), usedMs: statSync(join(folder, file)).mtimeMs }))
    .sort((a, b) => b.usedMs - a.usedMs);
  for (const { path } of archives.slice(keptPerImage)) rmSync(path, { force: true });
}
