import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { Refusal } from './refusal.ts';

export const DUMP_FILE = 'felucca.dump';
export const MANIFEST_FILE = 'manifest.json';

/** Of the same moment as the dump: both read one snapshot of the database. */
export const manifestSchema = z.object({
  format: z.literal(1),
  takenAt: z.string(),
  server: z.object({ version: z.string(), systemIdentifier: z.string(), timeline: z.number() }),
  tool: z.string(),
  /** What made the schema; the table that says so is not in the dump, because it is in a schema that may be shared. */
  migrations: z.array(z.object({ number: z.number(), name: z.string(), checksum: z.string() })).min(1),
  /** Of the key that rows were signed with. It is not in the dump. */
  signingKey: z.string().optional(),
  dump: z.object({ sha256: z.string(), bytes: z.number() }),
  rows: z.object({ organizations: z.number(), instances: z.number(), blueprints: z.number() }),
  dataPlanes: z.array(z.object({ id: z.string(), name: z.string(), epoch: z.string(), head: z.string() })),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** @throws Refusal when there is none, or the dump beside it is not the one that it tells of */
export async function readManifest(folder: string): Promise<Manifest> {
  const text = await readFile(join(folder, MANIFEST_FILE), 'utf8').catch(() => undefined);
  if (text === undefined)
    throw new Refusal(
      `${folder} has no ${MANIFEST_FILE}, so its backup is not complete`,
      'name the folder that `felucca admin backup --to` wrote',
    );
  const manifest = manifestSchema.safeParse(JSON.parse(text));
  if (!manifest.success)
    throw new Refusal(
      `${MANIFEST_FILE} is not one of this version: ${manifest.error.message}`,
      'use the version that wrote it',
    );
  const found = await fingerprint(join(folder, DUMP_FILE));
  if (found.sha256 !== manifest.data.dump.sha256)
    throw new Refusal(
      `${DUMP_FILE} is not the file that its manifest tells of`,
      'it was damaged or exchanged; take another backup',
    );
  return manifest.data;
}

export async function fingerprint(path: string): Promise<{ sha256: string; bytes: number }> {
  const hash = createHash('sha256');
  let bytes = 0;
  await pipeline(createReadStream(path), async (chunks) => {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      hash.update(chunk);
    }
  });
  return { sha256: hash.digest('hex'), bytes };
}
