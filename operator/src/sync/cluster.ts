import type { FeedKind, KubeObject, ObjectMeta } from '@felucca/contract';
import type { ManagedFieldsEntry } from '../reconcilers/cluster.ts';

export { ClusterError } from '../reconcilers/cluster.ts';

/** A Felucca object as the sync sees it; `status` is read narrowly. */
export interface LiveObject extends KubeObject<Record<string, unknown>, LiveStatus> {
  metadata: ObjectMeta & { managedFields?: ManagedFieldsEntry[] };
}
export interface LiveStatus {
  desired?: { id: string; generation: number; digest: string; kid: string; signature: string; rev?: string };
  conditions?: {
    type: string;
    status: string;
    reason: string;
    message: string;
    lastTransitionTime: string;
  }[];
  [field: string]: unknown;
}

export type SecretObject = Pick<KubeObject, 'metadata'> & { data?: Record<string, string> };

export interface ObjectRef {
  name: string;
  namespace?: string;
}

/** What the sync needs of a cluster; the adapter over the runtime's client is in kube-cluster.ts. */
export interface SyncCluster {
  /** A quorum read, managedFields included: destructive steps are never decided from a cache. */
  read(kind: FeedKind, ref: ObjectRef): Promise<LiveObject | undefined>;
  readSecret(namespace: string, name: string): Promise<SecretObject | undefined>;
  /**
   * Server-side apply as `felucca-sync`. Forced where it names a UID: what the control plane sends is the truth. Without one it
   * makes the object, and is refused with 409 when there is one of that name with other values.
   */
  apply(object: KubeObject, subresource?: 'status'): Promise<LiveObject>;
  /** Null removes. Refused with 409 when the object has another UID. */
  annotate(
    kind: FeedKind,
    ref: ObjectRef,
    uid: string,
    annotations: Record<string, string | null>,
  ): Promise<void>;
  /** The whole spec and these annotations in one write; refused with 409 when the object changed since `resourceVersion`. */
  replaceSpec(
    kind: FeedKind,
    ref: ObjectRef,
    resourceVersion: string,
    spec: Record<string, unknown>,
    annotations: Record<string, string>,
  ): Promise<LiveObject>;
  /** Removes fields at JSON pointers; refused with 409 when the object changed since `resourceVersion`. */
  removeFields(
    kind: FeedKind,
    ref: ObjectRef,
    resourceVersion: string,
    pointers: readonly string[],
  ): Promise<LiveObject>;
  /** Deletes exactly this UID; false when it is already gone. */
  remove(kind: FeedKind, ref: ObjectRef, uid: string): Promise<boolean>;
}
