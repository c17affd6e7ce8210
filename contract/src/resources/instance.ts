import { z } from 'zod';
import { digestOf } from '../canonical.ts';
import { conditionSchema } from '../conditions.ts';
import { BLUEPRINT_VERSION_PATTERN, NAME_PATTERN, NAME_RULE } from '../identity.ts';

/** Children that an Instance may have, those included that are on their way out: its status stays small. */
export const MAX_CHILDREN = 64;
export const deletionPolicies = ['Delete', 'Retain', 'Orphan'] as const;

export const instanceSpecSchema = z.strictObject({
  blueprintRef: z
    .strictObject({
      name: z
        .string()
        .max(40)
        .regex(NAME_PATTERN, `must be ${NAME_RULE}`)
        .describe('The product; it never changes.'),
      version: z
        .string()
        .max(17)
        .regex(BLUEPRINT_VERSION_PATTERN, 'must be a version like 1.4.0')
        .describe('Version of the product; another one is an upgrade.'),
    })
    .describe('The Blueprint version that this is an Instance of.'),
  parameters: z
    .record(z.string(), z.unknown())
    .describe(
      "Values for the Blueprint's parameters, checked against its schema. A sensitive one is sealed by the control plane, or names a Secret of this namespace: {secretRef: {name, key}}.",
    )
    .optional(),
  suspend: z.boolean().describe('Scales workloads to zero and keeps everything else.').optional(),
  deletionPolicy: z
    .enum(deletionPolicies)
    .describe(
      'Delete: everything goes. Retain: workloads go, volumes and secrets stay. Orphan: all children stay as they are.',
    )
    .optional(),
});
export type InstanceSpec = z.infer<typeof instanceSpecSchema>;

/** One child, written ahead of its first apply; `uid` is filled in after it. */
export const inventoryEntrySchema = z.strictObject({
  node: z.string(),
  /** Of the item, for a child of a node with `forEach`. */
  key: z.string().optional(),
  apiVersion: z.string(),
  kind: z.string(),
  name: z.string(),
  uid: z.string().optional(),
  /** Deletion runs from the highest wave down. */
  wave: z.number().int(),
  onDelete: z.enum(['Delete', 'Retain']),
});
export type InventoryEntry = z.infer<typeof inventoryEntrySchema>;

export const driftRecordSchema = z.strictObject({
  /** `<Kind>/<name>` of the child, or `Instance/<name>` itself. */
  object: z.string().max(256),
  /** JSON pointer of the field; empty when the whole object was deleted. */
  path: z.string().max(512),
  expected: z.string().max(512),
  actual: z.string().max(512),
  /** Field manager that changed it, as far as managedFields tell. */
  manager: z.string().max(128),
  detectedAt: z.string(),
  action: z.enum(['corrected', 'reported']),
});
export type DriftRecord = z.infer<typeof driftRecordSchema>;

/** A plain output carries its value; a sensitive one only says in which Secret of the cluster it is. */
export const outputSchema = z.union([
  z.strictObject({ value: z.unknown() }),
  z.strictObject({ secretRef: z.strictObject({ name: z.string(), key: z.string() }) }),
]);
export type Output = z.infer<typeof outputSchema>;

/** The verified row that the operator trusts. Absent on Instances applied with kubectl. */
export const desiredStampSchema = z.strictObject({
  id: z.string(),
  generation: z.number().int(),
  digest: z.string(),
  kid: z.string(),
  signature: z.string(),
  /** Feed revision of the row: after a restart the data plane's digest is rebuilt from it. */
  rev: z.string().optional(),
});
export type DesiredStamp = z.infer<typeof desiredStampSchema>;

/** Of the leader that wrote the status last: annotations don't travel with a write of the status. */
export const termSchema = z.string();

/** More than any time or id; an annotation may have 256 KiB. */
const MAX_REQUEST = 128;
/** What the status calls a handled request to reconcile: the text of its annotation, of a longer one the digest. */
export const requestName = (annotation: string): string =>
  annotation.length <= MAX_REQUEST ? annotation : digestOf(annotation);

export const instanceStatusSchema = z.object({
  observedGeneration: z.number().int(),
  conditions: z.array(conditionSchema).max(16).optional(),
  desired: desiredStampSchema.optional(),
  term: termSchema.optional(),
  outputs: z.record(z.string(), outputSchema).optional(),
  inventory: z.array(inventoryEntrySchema).max(MAX_CHILDREN).optional(),
  /** How far `inventory` has taken over what the annotation `felucca.dev/inventory` announced. */
  inventoryRevision: z.number().int().optional(),
  drift: z.array(driftRecordSchema).max(20).optional(),
  driftCount: z.number().int().optional(),
  /** Accepted values of the parameters marked `immutable`, by JSON pointer. */
  immutable: z.record(z.string(), z.unknown()).optional(),
  /** `requestName` of the request to reconcile that was handled last. */
  lastHandledReconcileAt: z.string().max(MAX_REQUEST).optional(),
});
export type InstanceStatus = z.infer<typeof instanceStatusSchema>;
