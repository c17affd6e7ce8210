import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readKeyFile, readOrMakeKeyFile } from './key-file.ts';

export const APP_ROLE = 'felucca_app';
export const FEED_ROLE = 'felucca_feed';
export const ROLE_SECRET_FILE = 'role-secret';

/**
 * Passwords of the roles that the API connects as, derived from a secret in the key folder: every process that
 * shares the folder derives the same, so two that start at once never lock each other out.
 */
export async function derivePasswords(keyDir: string): Promise<Record<string, string>> {
  const secret = await readRoleSecret(keyDir);
  const derive = (role: string) => createHmac('sha256', secret).update(role).digest('base64url');
  return { [APP_ROLE]: derive(APP_ROLE), [FEED_ROLE]: derive(FEED_ROLE) };
}

/** 256 random bits from which everything is derived that processes of one control plane share and the database lacks. */
export async function readRoleSecret(keyDir: string): Promise<string> {
  const made = () => `${randomBytes(32).toString('base64url')}\n`;
  return (await readOrMakeKeyFile(join(keyDir, ROLE_SECRET_FILE), made)).trim();
}

/** For whoever must not have one made: with another secret every API key is an unknown one. */
export const hasRoleSecret = async (keyDir: string): Promise<boolean> =>
  (await readKeyFile(join(keyDir, ROLE_SECRET_FILE))) !== undefined;

const SCRAM_ITERATIONS = 4_096;

/**
 * What Postgres keeps of a password (RFC 5803). The salt follows from role and password, so that the same password
 * has the same verifier: these passwords are 256 random bits, and nobody has a table of them.
 */
export function scramVerifier(role: string, password: string): string {
  const salt = createHmac('sha256', password).update(`salt of ${role}`).digest().subarray(0, 16);
  const salted = pbkdf2Sync(password, salt, SCRAM_ITERATIONS, 32, 'sha256');
  const keyed = (text: string) => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(keyed('Client Key')).digest('base64');
  const serverKey = keyed('Server Key').toString('base64');
  return `SCRAM-SHA-256$${SCRAM_ITERATIONS}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}

/** A role without a host before the path is libpq's way to name a socket in the query; node-pg reads it, and `URL` does not. */
const ROLE_WITHOUT_HOST = /^(\w+:\/\/)[^/?#]*@(?=\/)/;

/** The same database as another role. Said in the query: there node-pg looks last, and a URL without a host has no other place. */
export function urlAs(databaseUrl: string, role: string, password: string): string {
  const url = new URL(databaseUrl.replace(ROLE_WITHOUT_HOST, '$1'));
  url.username = '';
  url.password = '';
  url.searchParams.set('user', role);
  url.searchParams.set('password', password);
  return url.toString();
}
