import { z } from 'zod';

export const CONDITION_TYPES = [
  'Ready',
  'Reconciling',
  'Stalled',
  'Synced',
  'DriftDetected',
  'DeletionBlocked',
  'Joined',
  'FeedConnected',
  'RowsRefused',
] as const;
export type ConditionType = (typeof CONDITION_TYPES)[number];

/**
 * Every reason a condition can carry, with what it means for the reader.
 * A condition with a reason outside this table does not compile.
 */
export const REASONS = {
  // Ready
  AllChildrenReady: 'every child is ready and belongs to the current generation',
  ChildrenProgressing: 'children are being created or rolled out',
  ChildFailed: 'a child failed; the message names it and says who can fix it',
  WaitingForField: 'an expression needs a field of a child that does not exist yet',
  Suspended: 'workloads are scaled to zero because spec.suspend is true',
  Deleting: 'children are being removed in reverse order',
  // Stalled: no retry helps until somebody changes something
  BlueprintNotFound: 'the Blueprint version that the Instance pins is not on this cluster',
  BlueprintInvalid: 'the Blueprint has an error; its own conditions say where',
  ParametersInvalid: 'the parameters break the Blueprint’s schema',
  TenantNotReady: 'the tenant namespace is missing or not ready',
  NamespaceConflict: 'a namespace with the wanted name exists and is not ours',
  NameConflict: 'an object with the wanted name exists and is not ours',
  ApplyRejected: 'the API server refused a child (schema, admission, quota or rights)',
  ChangeImpossible:
    'a field of a child cannot change, and making the child anew would destroy data; the rest has been changed',
  ReplaceRefused:
    'a field of a child cannot change, and its Blueprint does not let it be made anew; the rest has been changed',
  SealedValueRefused: 'a sealed parameter cannot be opened here, or belongs to something else',
  SecretNotFound: 'the Secret that a sensitive parameter names does not exist, or has no such key',
  GeneratedValueLost:
    'a generated password or key is gone from its Secret; it is not replaced by another one without a word',
  ExpressionFailed: 'an expression of the Blueprint failed at run time',
  // Retryable
  ApiError: 'the API server could not be reached or answered with an error; it is retried',
  InternalError: 'the operator itself failed on this object; it is retried',
  // Synced
  InSync: 'the object is what the control plane wants',
  SpecEdited:
    'the spec of a control-plane-owned object was edited here; it is set back, and nothing is done about it before',
  SignatureInvalid: 'the desired row carries no valid signature of a trusted key; last good is kept',
  Local: 'applied on this cluster, not by a control plane',
  // DriftDetected
  DriftCorrected: 'owned fields had been changed and were set back',
  DriftReported: 'owned fields differ and the policy is to report only',
  RepairsPaused: 'an owned field is changed again and again, so that it is not set back for up to a minute',
  VolumeGoing: 'a volume is being deleted, and with it the data of the Instance',
  NoDrift: 'owned fields are as desired',
  // Deletion
  ChildStillExists:
    'a child, or the namespace of a tenant, does not go away; the message names it and what blocks it',
  DeletionHeld: 'the deletion budget is exhausted; a person must release it',
  // Blueprint
  Valid: 'schema, expressions and references are sound',
  KindMismatch:
    'a kind of this cluster has no such field, or takes another type there; Instances are tried all the same',
  // Tenant
  NamespaceReady: 'namespace, service account, quota, limits and network policy exist',
  // DataPlane
  Connected: 'the feed is connected',
  Disconnected: 'the control plane is away; the operator works on the last known state',
  CredentialRefused: 'the control plane does not know the key of this operator, or it was revoked',
  JoinTokenMissing: 'no identity yet and no join token was given',
  JoinRefused: 'the control plane refused the join token',
  IdentityUnusable:
    'Secret felucca-operator-identity is broken, or cannot be read or written; the message says which',
  NotConfigured: 'no control plane is configured; only locally applied objects are handled',
  Superseded: 'another operator holds this data plane',
  RowsRefused: 'rows of the control plane are not applied here; the message names them and says why',
} as const;
export type Reason = keyof typeof REASONS;

/** A quarter of what Kubernetes allows: all problems of a bad Blueprint, but no status that nobody can read. */
const MAX_MESSAGE = 8_192;

/** metav1.Condition. */
export const conditionSchema = z.object({
  type: z.string().max(64),
  status: z.enum(['True', 'False', 'Unknown']),
  observedGeneration: z.number().int().optional(),
  reason: z.string().min(1).max(128),
  /** What, why, what to do. */
  message: z.string().max(MAX_MESSAGE),
  lastTransitionTime: z.string(),
});
export type Condition = z.infer<typeof conditionSchema>;

export interface ConditionInput {
  type: ConditionType;
  status: Condition['status'];
  reason: Reason;
  message: string;
}

/**
 * Sets one condition. lastTransitionTime moves only when the status changes; the list is returned
 * unchanged (same reference) when nothing does, so a caller can skip the write.
 */
export function setCondition(
  conditions: readonly Condition[],
  input: ConditionInput,
  observedGeneration: number,
  now: Date,
): readonly Condition[] {
  const old = conditions.find((condition) => condition.type === input.type);
  const message = input.message.slice(0, MAX_MESSAGE);
  if (
    old &&
    old.status === input.status &&
    old.reason === input.reason &&
    old.message === message &&
    old.observedGeneration === observedGeneration
  )
    return conditions;
  const lastTransitionTime =
    old?.status === input.status ? old.lastTransitionTime : now.toISOString().replace(/\.\d{3}Z$/, 'Z');
  const next: Condition = { ...input, message, observedGeneration, lastTransitionTime };
  return old
    ? conditions.map((condition) => (condition.type === input.type ? next : condition))
    : [...conditions, next];
}

export function withoutCondition(
  conditions: readonly Condition[],
  type: ConditionType,
): readonly Condition[] {
  return conditions.some((condition) => condition.type === type)
    ? conditions.filter((condition) => condition.type !== type)
    : conditions;
}
