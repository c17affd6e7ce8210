import { open, rm } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';

/**
 * One `.tar.gz` that only its owner may read; a file of that name is not written over. It is packed before it is
 * written: when a pipe into the file breaks, tar-stream raises the error once more at every entry, where nobody listens.
 */
export async function writeArchive(
  path: string,
  folder: string,
  files: ReadonlyMap<string, string>,
  now: Date,
): Promise<void> {
  const tar = pack();
  for (const [name, text] of files) tar.entry({ name: `${folder}/${name}`, mtime: now, mode: 0o600 }, text);
  tar.finalize();
  const archive = await buffer(tar.pipe(createGzip()));
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(archive);
  } catch (error) {
    // Half of it is of no use, and would be in the way of another try.
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}
