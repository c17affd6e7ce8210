import { z } from 'zod';
import { sealingKeySchema } from './sealing.ts';

/** One-time join token: `fj_<id>_<secret>`; only its SHA-256 is stored. */
export const JOIN_TOKEN_PATTERN = /^fj_[0-9a-f]{32}_[A-Za-z0-9_-]{43}$/;
/** Largest age and clock skew of a request JWT, seconds. */
export const REQUEST_JWT_MAX_AGE_SECONDS = 60;
export const CLOCK_SKEW_SECONDS = 60;

/** POST /v1/join: no credential but the token in the body; the public key becomes the identity. */
export const joinRequestSchema = z.object({
  token: z.string().max(128),
  /** Ed25519 public key, JWK `x`, base64url. */
  publicKey: z
    .string()
    .regex(/^[A-Za-z0-9_-]{43}$/, 'must be an Ed25519 public key in base64url, 43 characters'),
  /** What sensitive values are sealed to; an operator of an earlier version has none. */
  sealingKey: sealingKeySchema.optional(),
  /** Which data plane this cluster is already; a token of another one is not for it. */
  dataPlaneId: z.string().max(64).optional(),
  instance: z.string().max(128),
  operatorVersion: z.string().max(64),
});
export type JoinRequest = z.infer<typeof joinRequestSchema>;

export const joinReplySchema = z.object({
  dataPlaneId: z.string(),
  dataPlaneName: z.string(),
  /** Key id that the operator puts into its request JWTs. */
  keyId: z.string(),
  /** Trusted signers of desired rows: kid → Ed25519 public key, JWK `x`. */
  signingKeys: z.record(z.string(), z.string()),
});
export type JoinReply = z.infer<typeof joinReplySchema>;

/**
 * Claims of the JWT (EdDSA, header `kid`) in `Authorization: Felucca <jwt>` of every operator request.
 * `htm` and `htu` bind it to one method and path, `jti` to one use.
 */
export const requestClaimsSchema = z.object({
  iss: z.string(),
  aud: z.literal('felucca-control-api'),
  htm: z.enum(['GET', 'POST']),
  /** Path without query. */
  htu: z.string(),
  iat: z.number().int(),
  jti: z.string().min(16).max(64),
});
export type RequestClaims = z.infer<typeof requestClaimsSchema>;
