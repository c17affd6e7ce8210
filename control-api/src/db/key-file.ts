import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Content of a file that must exist once and never change, such as a key. Where there is none, `make` decides it:
 * written beside its place and then linked, so that of several processes that start at once exactly one wins and
 * nobody reads half a file.
 * @throws when it can neither be read nor made, or is empty
 */
export async function readOrMakeKeyFile(path: string, make: () => string): Promise<string> {
  return (await readKeyFile(path)) ?? (await makeOnce(path, make));
}

/** Undefined when there is none. @throws when it can't be read, or is empty */
export async function readKeyFile(path: string): Promise<string | undefined> {
  const content = await readIfThere(path);
  if (content?.trim() === '') throw new Error(`${path} is empty; delete it to have a new one made`);
  return content;
}

async function makeOnce(path: string, make: () => string): Promise<string> {
  const draft = `${path}.${randomUUID()}`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.writeFile(make());
      await file.sync();
    } finally {
      await file.close();
    }
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new Error(
      `${path} does not exist and can't be made (${(error as Error).message}); put it there, or make FELUCCA_KEY_DIR writable`,
    );
  } finally {
    await rm(draft, { force: true }).catch(() => {});
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
