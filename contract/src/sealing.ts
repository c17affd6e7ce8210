import { createHash } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson } from './canonical.ts';

/** X25519 public key, JWK `x`: what sensitive values are sealed to. */
export const sealingKeySchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{43}$/, 'must be an X25519 public key in base64url, 43 characters');

export const sealingJwk = (x: string) => ({ kty: 'OKP', crv: 'X25519', x });
/** RFC 7638 thumbprint: `kid` of what is sealed to this key. */
export const sealingKeyId = (x: string): string =>
  createHash('sha256')
    .update(canonicalJson(sealingJwk(x)))
    .digest('base64url');

export const SEALING = { alg: 'ECDH-ES', enc: 'A256GCM' } as const;

/** Where a sealed value belongs. It is part of the protected header, so it cannot be moved anywhere else. */
export const sealedContextSchema = z.object({
  dataPlane: z.string(),
  instance: z.string(),
  /** JSON pointer inside the parameters. */
  parameter: z.string(),
});
export type SealedContext = z.infer<typeof sealedContextSchema>;

/** Protected header of a sealed value: readable by everybody, and authenticated. */
export const sealedHeaderSchema = z.object({
  alg: z.literal(SEALING.alg),
  enc: z.literal(SEALING.enc),
  kid: z.string(),
  /** Tells the API, and nobody who lacks its key, that the same value is sent again. */
  fingerprint: z.string(),
  context: sealedContextSchema,
});

/** How long a value is would be told by how long it is sealed. */
const PADDED_TO_BYTES = 64;
/** With zeros: no parameter holds U+0000. */
export function padded(value: string): Uint8Array {
  const bytes = Buffer.from(value);
  return Buffer.concat([bytes, Buffer.alloc(PADDED_TO_BYTES - (bytes.length % PADDED_TO_BYTES))]);
}
export const unpadded = (bytes: Uint8Array): string =>
  Buffer.from(bytes).toString('utf8').replace(/\0+$/, '');
