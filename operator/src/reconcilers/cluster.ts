import type { KubeObject, LiveObject } from '@felucca/contract';
import { ApiError } from '../runtime/api-error.ts';

export type { LiveObject, ManagedFieldsEntry } from '@felucca/contract';

export interface ObjectRef {
  apiVersion: string;
  kind: string;
  namespace?: string;
  name: string;
}
export const refOf = (object: KubeObject): ObjectRef => ({
  apiVersion: object.apiVersion,
  kind: object.kind,
  name: object.metadata.name,
  ...(object.metadata.namespace ? { namespace: object.metadata.namespace } : {}),
});

export interface ApplyOptions {
  manager: string;
  subresource?: 'status';
}

/** What the reconcilers need of a cluster. Every read is a quorum read, managedFields included. */
export interface ReconcilerCluster {
  read(ref: ObjectRef): Promise<LiveObject | undefined>;
  list(apiVersion: string, kind: string, namespace: string, labelSelector: string): Promise<LiveObject[]>;
  /** Events of type Warning about one object; the API server keeps them for an hour. */
  warnings(namespace: string, uid: string): Promise<LiveObject[]>;
  /** A document of /openapi/v3, for example `apis/apps/v1`. */
  openApi(path: string): Promise<unknown>;
  /** Server-side apply; what the manager sends is the truth. A uid or version in the metadata is a precondition (409). */
  apply(object: KubeObject, options: ApplyOptions): Promise<LiveObject>;
  /** JSON merge patch; a uid or version in the metadata is a precondition (409). */
  mergePatch(ref: ObjectRef, patch: Record<string, unknown>): Promise<LiveObject>;
  /** Deletes exactly this UID; `going` while something holds it. */
  remove(ref: ObjectRef, uid: string, propagation: 'Foreground' | 'Background'): Promise<'gone' | 'going'>;
}

/** `status` is the HTTP status, 0 when no answer came; `message` is the API server's own, `causes` its parts. */
export class ClusterError extends Error {
  override name = 'ClusterError';
  readonly status: number;
  readonly causes: readonly string[];
  constructor(status: number, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
    this.causes = cause instanceof ApiError ? cause.causes : [];
  }

  /** No verdict on what was asked for: away, busy, or two writers meeting. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 409 || this.status === 429 || this.status >= 500;
  }
}

/** Our side of a watch: the newest known objects of a kind. */
export interface Lookup<T extends KubeObject = LiveObject> {
  get(namespace: string | undefined, name: string): T | undefined;
}

export type EmitEvent = (
  about: KubeObject,
  event: { type: 'Normal' | 'Warning'; reason: string; message: string },
) => void;

/** Wall clock, for times that people read and for nothing else. */
export type WallClock = () => Date;
