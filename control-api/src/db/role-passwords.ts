import { createHmac, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readOrMakeKeyFile } from './key-file.ts';

export const APP_ROLE = 'felucca_app';
export const FEED_ROLE = 'felucca_feed';

/**
 * Passwords of the roles that the API connects as, derived from a secret in the key folder: every process that
 * shares the folder derives the same, so two that start at once never lock each other out.
 */
export async function derivePasswords(keyDir: string): Promise<Record<string, string>> {
  const made = () => `${randomBytes(32).toString('base64url')}\n`;
  const secret = (await readOrMakeKeyFile(join(keyDir, 'role-secret'), made)).trim();
  const derive = (role: string) => createHmac('sha256', secret).update(role).digest('base64url');
  return { [APP_ROLE]: derive(APP_ROLE), [FEED_ROLE]: derive(FEED_ROLE) };
}

export function urlAs(databaseUrl: string, role: string, password: string): string {
  const url = new URL(databaseUrl);
  url.username = role;
  url.password = password;
  return url.toString();
}
