import { z } from 'zod';
import { canonicalJson } from './canonical.ts';
import { BUCKETS, bucketSetSchema } from './digest.ts';
import { FEED_KINDS, type FeedKind } from './identity.ts';

/**
 * Version of the link; a peer that speaks another one gets 426. Within a version either side may add fields and reasons,
 * and leaves out what it does not know: operators and the control plane are never upgraded in one moment.
 */
export const PROTO = 1;

/** Revisions are 64-bit: decimal strings on the wire, BigInt in memory, never a number. */
export const revisionSchema = z.string().regex(/^(0|[1-9]\d{0,18})$/, 'must be a decimal revision');
const kind = z.enum(FEED_KINDS);
/** Of any form: a row that says something else is refused by its name, and holds up no other. */
const hash = z.string().max(512);

export const putOpSchema = z.object({
  op: z.literal('put'),
  kind,
  key: z.string().max(128),
  rev: revisionSchema,
  id: z.string().max(64),
  generation: z.number().int().min(1),
  /** digestOf(spec) */
  hash,
  spec: z.record(z.string(), z.unknown()),
  kid: z.string().max(64),
  sig: z.string().max(128),
  traceparent: z.string().max(64).optional(),
});
/** A tombstone: the only thing that deletes. */
export const delOpSchema = z.object({
  op: z.literal('del'),
  kind,
  key: z.string().max(128),
  rev: revisionSchema,
  id: z.string().max(64),
  generation: z.number().int().min(1),
  kid: z.string().max(64),
  sig: z.string().max(128),
  traceparent: z.string().max(64).optional(),
});
export const opSchema = z.discriminatedUnion('op', [putOpSchema, delOpSchema]);
export type PutOp = z.infer<typeof putOpSchema>;
export type DelOp = z.infer<typeof delOpSchema>;
export type Op = z.infer<typeof opSchema>;

export const RESET_REASONS = ['NEW', 'COMPACTED', 'EPOCH', 'CURSOR_AHEAD', 'DIVERGED'] as const;
export const DRAIN_REASONS = ['shutdown', 'rotate', 'token', 'slow'] as const;
export const FEED_ERRORS = ['SUPERSEDED', 'REVOKED', 'BAD_REQUEST', 'INTERNAL'] as const;

export const frameSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('hello'),
    proto: z.number().int(),
    /** Fencing token of this connection; reports carry it back. */
    session: z.string(),
    dataPlaneId: z.string(),
    epoch: z.string(),
    head: revisionSchema,
    digest: z.string(),
    compacted: revisionSchema,
    mode: z.enum(['resume', 'reset', 'verify']),
    reason: z.enum(RESET_REASONS).optional().catch(undefined),
    /** With `verify`: the digest of each bucket at the head. The connection ends; the next asks for what differs. */
    buckets: z.array(z.string().max(32)).length(BUCKETS).optional(),
    /** With `resume`: rows of these buckets come as a snapshot beside the tail. */
    repair: bucketSetSchema.optional(),
    heartbeatSeconds: z.number().int(),
    maxAgeSeconds: z.number().int(),
  }),
  z.object({
    type: z.literal('delta'),
    from: revisionSchema,
    to: revisionSchema,
    /** False: more pages follow before `to` may be used as a cursor with a digest. */
    complete: z.boolean(),
    ops: z.array(opSchema),
  }),
  z.object({
    type: z.literal('snapshot'),
    at: revisionSchema,
    page: z.number().int(),
    last: z.boolean(),
    /** Of these buckets only, beside the tail: the cursor stays where it is. Absent: of everything, after a `reset`. */
    repair: bucketSetSchema.optional(),
    /** Every live row, and on the last pages the tombstones that were not compacted yet. */
    ops: z.array(opSchema),
  }),
  z.object({
    type: z.literal('bookmark'),
    cursor: revisionSchema,
    digest: z.string(),
    count: z.number().int(),
    /** Who loses this connection comes back at a random time in it: the server knows how many lose theirs with it. */
    reconnectWithinMs: z.number().int().min(0).optional(),
  }),
  z.object({
    type: z.literal('drain'),
    reason: z.enum(DRAIN_REASONS).catch('rotate'),
    retryMinMs: z.number().int(),
    retryMaxMs: z.number().int(),
  }),
  z.object({
    type: z.literal('error'),
    code: z.enum(FEED_ERRORS).catch('INTERNAL'),
    message: z.string(),
    retryable: z.boolean(),
  }),
]);
export type Frame = z.infer<typeof frameSchema>;
export type HelloFrame = Extract<Frame, { type: 'hello' }>;

/** Query of GET /v1/data-planes/{id}/sync. `cursor` "0" with an empty epoch is a first contact. */
export const syncQuerySchema = z.object({
  proto: z.coerce.number().int(),
  epoch: z.string().max(64).default(''),
  cursor: revisionSchema.default('0'),
  digest: z.string().max(32).default(''),
  count: z.coerce.number().int().min(0).default(0),
  /** Name of the operator process, for people. */
  instance: z.string().max(128).default(''),
  /** Fencing term of the operator's Lease; of one key the higher one wins a data plane. */
  term: z.coerce.number().int().min(0).default(0),
  /** The operator can be answered `verify`. */
  verify: z.literal('1').optional(),
  /** Buckets whose rows it wants compared, after a `verify`. */
  repair: bucketSetSchema.optional(),
  /** Seconds: long poll; absent: stream. */
  wait: z.coerce.number().int().min(0).max(60).optional(),
});
export type SyncQuery = z.infer<typeof syncQuerySchema>;

/** The bytes that the control plane signs with Ed25519 and the operator verifies before it applies a row. */
export function signedBytes(row: {
  dataPlaneId: string;
  kind: FeedKind;
  key: string;
  id: string;
  generation: number;
  /** digestOf(spec), or "" for a tombstone. */
  hash: string;
  deleted: boolean;
}): Buffer {
  const { dataPlaneId, kind: rowKind, key, id, generation, hash: rowHash, deleted } = row;
  return Buffer.from(
    canonicalJson({ v: 1, dataPlaneId, kind: rowKind, key, id, generation, hash: rowHash, deleted }),
  );
}
