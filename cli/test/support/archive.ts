import { createReadStream } from 'node:fs';
import { text } from 'node:stream/consumers';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';

/** Files of a `.tar.gz`, by path. */
export async function readArchive(path: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const tar = createReadStream(path).pipe(createGunzip()).pipe(extract());
  for await (const entry of tar) files.set(entry.header.name, await text(entry));
  return files;
}
