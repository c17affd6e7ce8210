import type { KubeObject } from '@felucca/contract';
import type { Gvr } from './resources.ts';
import type { KubeRequest } from './transport.ts';

export interface ApplyOptions {
  fieldManager: string;
  /** Default true: what the manager sends is the truth. False makes a conflict a 409. */
  force?: boolean;
}
export interface ListOptions {
  labelSelector?: string;
  fieldSelector?: string;
  /** Objects of one page; default 500. */
  limit?: number;
}
export interface DeleteOptions {
  /** Required: a delete is of one object, never of whatever has its name now. */
  uid: string;
  resourceVersion?: string;
  /** Default Background. */
  propagation?: 'Foreground' | 'Background' | 'Orphan';
}
export interface Written {
  resourceVersion: string;
}

/**
 * Typed calls to the API server. Reads are quorum reads and carry managedFields. All reject with `ApiError`.
 * `namespace` is undefined for cluster-wide kinds.
 */
export interface KubeClient {
  /** Undefined when there is none (404). */
  get<T extends KubeObject>(gvr: Gvr, namespace: string | undefined, name: string): Promise<T | undefined>;
  /** All pages; `namespace` undefined lists all namespaces. */
  list<T extends KubeObject>(gvr: Gvr, namespace?: string, options?: ListOptions): Promise<T[]>;
  create<T extends KubeObject>(gvr: Gvr, namespace: string | undefined, object: T): Promise<T>;
  /** PUT: refused with 409 when the object's resourceVersion is not the newest. */
  replace<T extends KubeObject>(gvr: Gvr, namespace: string | undefined, object: T): Promise<T>;
  /** Server-side apply. A uid in the metadata is a precondition. */
  apply<T extends KubeObject>(
    gvr: Gvr,
    namespace: string | undefined,
    name: string,
    object: KubeObject,
    options: ApplyOptions,
  ): Promise<T>;
  /** As `apply`, but the answer is not parsed: about 30 times less CPU, when only the version is needed. */
  applyLean(
    gvr: Gvr,
    namespace: string | undefined,
    name: string,
    object: KubeObject,
    options: ApplyOptions,
  ): Promise<Written>;
  applyStatus<T extends KubeObject>(
    gvr: Gvr,
    namespace: string | undefined,
    name: string,
    object: KubeObject,
    options: ApplyOptions,
  ): Promise<T>;
  /** An array is a JSON patch, an object a merge patch. */
  patch<T extends KubeObject>(
    gvr: Gvr,
    namespace: string | undefined,
    name: string,
    patch: unknown[] | Record<string, unknown>,
    options?: { fieldManager?: string; subresource?: string },
  ): Promise<T>;
  patchStatus<T extends KubeObject>(
    gvr: Gvr,
    namespace: string | undefined,
    name: string,
    patch: unknown[] | Record<string, unknown>,
    options?: { fieldManager?: string },
  ): Promise<T>;
  /** False when it is already gone, or another object (409 on the UID) has its name. */
  delete(gvr: Gvr, namespace: string | undefined, name: string, options: DeleteOptions): Promise<boolean>;
  /** Which resource a kind is: the table, else discovery (cached, asked again on a miss). Undefined: no such kind. */
  resolve(apiVersion: string, kind: string): Promise<Gvr | undefined>;
  /** Any request; resolves with any HTTP status, the body parsed when it is JSON. */
  send(request: KubeRequest): Promise<{ status: number; body: unknown }>;
}
