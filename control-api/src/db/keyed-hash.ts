import { createHmac, hkdfSync } from 'node:crypto';
import { readRoleSecret } from './role-passwords.ts';

/**
 * What stands in the database in place of something that must not be guessed from it: without the key nobody can try
 * values until one fits. Each purpose has a key of its own.
 */
export type KeyedHash = (purpose: HashPurpose, text: string) => string;
export type HashPurpose = 'idempotency' | 'sealed value' | 'sealing key';

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
