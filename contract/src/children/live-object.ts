import { LABELS } from '../identity.ts';
import type { KubeObject, ObjectMeta } from '../resources/object.ts';

export interface ManagedFieldsEntry {
  manager?: string;
  operation?: string;
  subresource?: string;
  time?: string;
  fieldsV1?: Record<string, unknown>;
}
/** An object as the API server returns it. */
export interface LiveObject extends KubeObject<Record<string, unknown>, Record<string, unknown>> {
  metadata: ObjectMeta & { managedFields?: ManagedFieldsEntry[] };
  [field: string]: unknown;
}

/** Looks like a child of this Instance, by a label that anybody can edit: what finds it, not what proves it. */
export const isOurs = (live: LiveObject, instanceUid: string): boolean =>
  live.metadata.labels?.[LABELS.instanceUid] === instanceUid;

/** Which of an Instance's children an object is, or belongs to as pod or volume. */
export const partOf = ({ metadata }: KubeObject): string =>
  [metadata.labels?.[LABELS.node], metadata.labels?.[LABELS.key]].join('/');

/** Who keeps it from going away, besides the garbage collector, which waits for its children. */
export const pendingFinalizers = ({ metadata }: KubeObject): string[] =>
  (metadata.finalizers ?? []).filter((name) => name !== 'foregroundDeletion');
