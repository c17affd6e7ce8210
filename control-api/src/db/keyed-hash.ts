import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { canonicalJson } from '@felucca/contract';
import { readRoleSecret } from './role-passwords.ts';

/**
 * What stands in the database in place of something that must not be guessed from it, or made up in it: without the key
 * nobody can try values until one fits, nor write one that does. Each purpose has a key of its own.
 */
export type KeyedHash = (purpose: HashPurpose, text: string) => string;
export type HashPurpose = 'idempotency' | 'sealed value' | 'sealing key' | 'API key' | 'join token';

/** From the secret in the key folder that every process of this control plane shares. */
export async function keyedHashFromFolder(keyDir: string): Promise<KeyedHash> {
  return keyedHashFrom(await readRoleSecret(keyDir));
}

/** 32 bytes that say nothing of the secret, nor of those for another purpose. */
export const derivedKey = (secret: string, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, '', `felucca ${purpose}`, 32));

export function keyedHashFrom(secret: string): KeyedHash {
  const keys = new Map<HashPurpose, Buffer>();
  const keyFor = (purpose: HashPurpose): Buffer => {
    const key = keys.get(purpose) ?? derivedKey(secret, purpose);
    keys.set(purpose, key);
    return key;
  };
  return (purpose, text) => createHmac('sha256', keyFor(purpose)).update(text).digest('base64url');
}

/**
 * What the database keeps of the secret of a key or token. It says what that is good for, too: whoever can write to the
 * database can neither add one of their own nor lend the one they have to another tenant, scope or data plane.
 */
export const secretHash = (
  hash: KeyedHash,
  purpose: 'API key' | 'join token',
  goodFor: readonly string[],
  secret: string,
): Buffer => Buffer.from(hash(purpose, canonicalJson([...goodFor, secret])), 'base64url');

/** @param kept may be of any length: it is what stands in the database */
export const isSameHash = (kept: Buffer, offered: Buffer): boolean =>
  kept.length === offered.length && timingSafeEqual(kept, offered);
