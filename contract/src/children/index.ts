export { absence, type ChildState, childState } from './child-state.ts';
export { keepClaimTemplates } from './claim-templates.ts';
export { type DesiredChild, desiredChild } from './desired-child.ts';
export { policyFor } from './drift-policy.ts';
export { explained, stuckObject } from './explain.ts';
export { childrenOfInstance, instanceScope } from './instance-scope.ts';
export { hasNewEntries, inventoryOf, inventoryRevision, writeAheadAnnotation } from './inventory.ts';
export {
  isOurs,
  type LiveObject,
  type ManagedFieldsEntry,
  partOf,
  pendingFinalizers,
} from './live-object.ts';
export {
  changedBy,
  type FieldDifference,
  isSecretValue,
  isStillOwned,
  isUnder,
  ownedDifferences,
} from './owned-fields.ts';
export { whyForeign } from './ownership.ts';
export { type PodFailure, podFailures, tellFailure } from './pod-failures.ts';
export { type Readiness, readinessOf } from './readiness.ts';
export { type DeletionPolicy, outlives, policyOf, policyWhileAlive } from './retention.ts';
