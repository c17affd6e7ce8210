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

/** The same of a sensitive output, on its way from its Secret to the API. */
export const sealedOutputContextSchema = z.object({
  dataPlane: z.string(),
  instance: z.string(),
  output: z.string(),
});
export type SealedOutputContext = z.infer<typeof sealedOutputContextSchema>;
export const sealedOutputHeaderSchema = z.object({
  alg: z.literal(SEALING.alg),
  enc: z.literal(SEALING.enc),
  kid: z.string(),
  context: sealedOutputContextSchema,
});
/** Of the Secret's value; a longer one is read in the cluster. */
export const MAX_SEALED_OUTPUT_BYTES = 8 * 1024;

/** What sensitive outputs are sealed to, signed with a key that signs rows. */
export const outputKeySchema = z.object({
  key: sealingKeySchema,
  kid: z.string().max(64),
  sig: z.string().max(128),
});
export type SignedOutputKey = z.infer<typeof outputKeySchema>;
/** The bytes that are signed: of another form than a row's, so that neither stands for the other. */
export const outputKeyBytes = (dataPlaneId: string, key: string): Buffer =>
  Buffer.from(canonicalJson({ v: 1, dataPlaneId, outputKey: key }));

/** ECDH-ES has no encrypted key, so the second of five parts is empty. */
export const COMPACT_JWE = /^eyJ[\w-]+\.\.[\w-]{16}\.[\w-]+\.[\w-]{22}$/;

/** How long a value is would be told by how long it is sealed. */
const PADDED_TO_BYTES = 64;
/** With zeros: no parameter holds U+0000. */
export function padded(value: string): Uint8Array {
  const bytes = Buffer.from(value);
  return Buffer.concat([bytes, Buffer.alloc(PADDED_TO_BYTES - (bytes.length % PADDED_TO_BYTES))]);
}
export const unpadded = (bytes: Uint8Array): string =>
  Buffer.from(bytes).toString('utf8').replace(/\0+$/, '');
