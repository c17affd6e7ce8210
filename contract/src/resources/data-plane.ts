import { z } from 'zod';
import { conditionSchema } from '../conditions.ts';
import { desiredStampSchema, termSchema } from './instance.ts';

/** Deletions that the control plane lets go at once. */
export const MAX_RELEASED_DELETIONS = 500;
export const releasedDeletionSchema = z.strictObject({
  id: z.string().max(64).describe('Id of the resource, as in its annotation felucca.dev/id.'),
  generation: z.number().int().min(1).describe('Of its tombstone: a later deletion is not meant.'),
});

/** The key that signs, the next one and the one before, with room to spare. */
export const MAX_SIGNING_KEYS = 8;
export const signingKeyListSchema = z
  .array(
    z.strictObject({
      kid: z.string().max(64),
      publicKey: z
        .string()
        .length(43)
        .regex(/^[A-Za-z0-9_-]{43}$/)
        .describe('Ed25519, JWK `x`.'),
    }),
  )
  .min(1)
  .max(MAX_SIGNING_KEYS)
  .describe(
    'Keys whose signatures count from now on, instead of those pinned at join; the row that says so is signed with one of them.',
  );

export const dataPlaneSpecSchema = z.strictObject({
  deletionBudgetPercent: z
    .number()
    .int()
    .min(0)
    .max(100)
    .describe('Largest share of the live Instances that may be deleted per window without a person, percent.')
    .optional(),
  deletionWindowSeconds: z
    .number()
    .int()
    .min(1)
    .max(86_400)
    .describe('Window of the deletion budget, seconds.')
    .optional(),
  releasedDeletions: z
    .array(releasedDeletionSchema)
    .max(MAX_RELEASED_DELETIONS)
    .describe('Held deletions that a person released in the control plane; only a signed row counts.')
    .optional(),
  signingKeys: signingKeyListSchema.optional(),
});
export type DataPlaneSpec = z.infer<typeof dataPlaneSpecSchema>;

/** Everything the operator must remember across restarts about the link, in one object. */
export const dataPlaneStatusSchema = z.object({
  observedGeneration: z.number().int(),
  conditions: z.array(conditionSchema).max(16).optional(),
  /** The verified DataPlane row, when the control plane sent one. */
  desired: desiredStampSchema.optional(),
  term: termSchema.optional(),
  /** Id the control plane gave at join. */
  dataPlaneId: z.string().optional(),
  /** Durable cursor: written only after everything up to it has been applied. */
  epoch: z.string().optional(),
  cursor: z.string().optional(),
  /** Pod name of the operator that holds the link. */
  holder: z.string().optional(),
  operatorVersion: z.string().optional(),
  /** Deletions that wait for a person, or for the comparison under a new epoch. */
  heldDeletions: z.number().int().optional(),
});
export type DataPlaneStatus = z.infer<typeof dataPlaneStatusSchema>;
