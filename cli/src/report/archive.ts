import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';

/** One `.tar.gz` that only its owner may read; a file of that name is not written over. */
export async function writeArchive(
  path: string,
  folder: string,
  files: ReadonlyMap<string, string>,
  now: Date,
): Promise<void> {
  const tar = pack();
  for (const [name, text] of files) tar.entry({ name: `${folder}/${name}`, mtime: now, mode: 0o600 }, text);
  tar.finalize();
  await pipeline(tar, createGzip(), createWriteStream(path, { flags: 'wx', mode: 0o600 }));
}
