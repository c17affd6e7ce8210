import { createHash, randomBytes } from 'node:crypto';

/** `fj_<id, 32 hex>_<secret, 43 base64url>`; the database keeps SHA-256 of the secret. */
export function newJoinToken(id: string): { token: string; secretHash: Buffer } {
  const secret = randomBytes(32).toString('base64url');
  return {
    token: `fj_${id.replaceAll('-', '')}_${secret}`,
    secretHash: createHash('sha256').update(secret).digest(),
  };
}
