import { z } from 'zod';
import { conditionSchema } from './conditions.ts';
import { revisionSchema } from './feed.ts';
import { FEED_KINDS } from './identity.ts';
import { driftRecordSchema, outputSchema } from './resources/instance.ts';
import { COMPACT_JWE, outputKeySchema, sealingKeySchema } from './sealing.ts';

export const MAX_REPORT_BYTES = 1024 * 1024;
export const MAX_REPORT_ITEMS = 500;

/** What the operator saw of one object. Newest wins by (generation, observedSeq). */
export const statusItemSchema = z.object({
  kind: z.enum(FEED_KINDS),
  key: z.string().max(128),
  /** Id of the desired row; for a local object the cluster's UID. */
  id: z.string().max(64),
  /** Applied on the cluster with kubectl: shown, never steered. */
  local: z.boolean(),
  /** Control-plane generation that this status speaks about; for local ones metadata.generation. */
  generation: z.number().int().min(0),
  /** Digest of the spec that this status speaks about. */
  digest: z.string().max(80),
  /** Grows with every observation of one operator session; breaks ties inside one generation. */
  observedSeq: z.number().int().min(0),
  /** The object is gone from the cluster: acknowledges a tombstone. */
  deleted: z.boolean().optional(),
  conditions: z.array(conditionSchema).max(16),
  outputs: z.record(z.string(), outputSchema).optional(),
  /** Values of sensitive outputs, sealed to the control plane's output key. Absent: as told before. */
  sealedOutputs: z.record(z.string(), z.string().max(16_384).regex(COMPACT_JWE)).optional(),
  /** kubectl-applied Instances: what they are. */
  blueprint: z.string().max(80).optional(),
  driftCount: z.number().int().min(0).optional(),
  appliedAt: z.string().optional(),
  readyAt: z.string().optional(),
});
export type StatusItem = z.infer<typeof statusItemSchema>;

/** Of a spec in a report, JSON; one that is larger stays in the cluster, and its object can't be adopted. */
export const MAX_HELD_SPEC_BYTES = 64 * 1024;

/**
 * An object of ours that the feed does not account for: no row names it, or one of a generation that it is past. The
 * row that the object was made of comes along as the control plane once signed it, so that a database that has lost
 * it can take it back.
 */
export const heldObjectSchema = z.object({
  kind: z.enum(FEED_KINDS),
  key: z.string().max(128),
  id: z.string().max(64),
  generation: z.number().int().min(1).optional(),
  hash: z.string().max(80).optional(),
  kid: z.string().max(64).optional(),
  sig: z.string().max(128).optional(),
  spec: z.record(z.string(), z.unknown()).optional(),
});
export type HeldObject = z.infer<typeof heldObjectSchema>;

export const driftItemSchema = z.object({
  ...driftRecordSchema.shape,
  kind: z.enum(FEED_KINDS),
  key: z.string().max(128),
  id: z.string().max(64),
});
export type DriftItem = z.infer<typeof driftItemSchema>;

export const nackSchema = z.object({
  kind: z.enum(FEED_KINDS),
  key: z.string().max(128),
  /** A database that was put back uses revisions again, for rows of other owners of a name. */
  id: z.string().max(64).optional(),
  rev: revisionSchema,
  /** Empty for a tombstone. */
  hash: z.string().max(80),
  code: z.string().max(64),
  message: z.string().max(1024),
  retryable: z.boolean(),
});
export type Nack = z.infer<typeof nackSchema>;

/** Body of POST /v1/data-planes/{id}/reports. */
export const reportSchema = z.object({
  proto: z.number().int(),
  session: z.string().max(64),
  epoch: z.string().max(64),
  /** Dense per session; a repeated seq is answered as before and changes nothing. */
  seq: z.number().int().min(1),
  term: z.number().int().min(0),
  /** In the first report of a session: what sensitive values are to be sealed to from now on. */
  sealingKey: sealingKeySchema.optional(),
  ack: z.object({ cursor: revisionSchema, digest: z.string().max(32) }).optional(),
  nacks: z.array(nackSchema).max(MAX_REPORT_ITEMS).default([]),
  status: z.array(statusItemSchema).max(MAX_REPORT_ITEMS).default([]),
  drift: z.array(driftItemSchema).max(MAX_REPORT_ITEMS).default([]),
  /** Shown as orphans of the feed, never deleted without a person. */
  unknown: z.array(heldObjectSchema).max(MAX_REPORT_ITEMS).default([]),
});
export type Report = z.infer<typeof reportSchema>;
export type ReportInput = z.input<typeof reportSchema>;

export const reportReplySchema = z.object({
  seq: z.number().int(),
  accepted: z.number().int(),
  rejected: z.array(z.object({ kind: z.string(), key: z.string(), reason: z.string() })),
  outputKey: outputKeySchema.optional(),
});
export type ReportReply = z.infer<typeof reportReplySchema>;
