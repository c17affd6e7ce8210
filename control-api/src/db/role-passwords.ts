import { createHmac, randomBytes } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export const APP_ROLE = 'felucca_app';
export const FEED_ROLE = 'felucca_feed';

/**
 * Passwords of the roles that the API connects as, derived from a secret in the key folder: every process that
 * shares the folder derives the same, so two that start at once never lock each other out.
 */
export async function derivePasswords(keyDir: string): Promise<Record<string, string>> {
  const secret = await readOrCreate(join(keyDir, 'role-secret'));
  const derive = (role: string) => createHmac('sha256', secret).update(role).digest('base64url');
  return { [APP_ROLE]: derive(APP_ROLE), [FEED_ROLE]: derive(FEED_ROLE) };
}

export function urlAs(databaseUrl: string, role: string, password: string): string {
  const url = new URL(databaseUrl);
  url.username = role;
  url.password = password;
  return url.toString();
}

async function readOrCreate(path: string): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  try {
    const file = await open(path, 'wx', 0o600);
    await file.writeFile(`${randomBytes(32).toString('base64url')}\n`);
    await file.close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  // A twin may have created it and not written yet.
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const secret = await readFile(path, 'utf8');
    if (secret.endsWith('\n')) return secret.trim();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${path} is empty; delete it to have a new one made`);
}
