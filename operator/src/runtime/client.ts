import type { KubeObject } from '@felucca/contract';
import { apiErrorOf, isConflict, isNotFound } from './api-error.ts';
import { retryAfterMs } from './backoff.ts';
import { Discovery } from './discovery.ts';
import { type Gvr, knownGvr, resourcePath } from './resources.ts';
import { scanMetadata } from './scan-metadata.ts';
import type { KubeRequest, KubeResponse, Transport } from './transport.ts';

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
  /** Of each page; the default is the transport's. */
  timeoutMs?: number;
}
export interface DeleteOptions {
  /** Required: a delete is of one object, never of whatever has its name now. */
  uid: string;
  resourceVersion?: string;
  /** Default Background. */
  propagation?: 'Foreground' | 'Background' | 'Orphan';
}
/** `gone`: no object of this UID is there any more. */
export type DeletionProgress = 'gone' | 'going';
export interface Written {
  resourceVersion: string;
}
export interface PatchOptions {
  fieldManager?: string;
  subresource?: string;
}
/** `namespace` is undefined for cluster-wide kinds. */
type Namespace = string | undefined;
/** An array is a JSON patch, an object a merge patch. */
export type Patch = readonly unknown[] | Record<string, unknown>;

/**
 * Typed calls to the API server. Reads are quorum reads and carry managedFields. All reject with `ApiError`;
 * status 0 means that no answer came.
 */
export class KubeClient {
  readonly transport: Transport;
  readonly #discovery: Discovery;

  constructor(transport: Transport, discovery?: Discovery) {
    this.transport = transport;
    this.#discovery = discovery ?? new Discovery((path) => this.#json({ method: 'GET', path }));
  }

  /** The same client whose requests end with the signal, whether they were answered or not. */
  until(signal: AbortSignal): KubeClient {
    const { transport } = this;
    return new KubeClient(
      {
        request: (request) => transport.request({ ...request, signal }),
        stream: (request) => transport.stream({ ...request, signal }),
        close: () => transport.close(),
      },
      this.#discovery,
    );
  }

  /** Undefined when there is none (404). */
  async get<T extends KubeObject>(
    gvr: Gvr,
    namespace: Namespace,
    name: string,
    options: { timeoutMs?: number } = {},
  ): Promise<T | undefined> {
    try {
      return await this.#json<T>({ method: 'GET', path: resourcePath(gvr, namespace, name), ...options });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** All pages; `namespace` undefined lists all namespaces. */
  async list<T extends KubeObject>(gvr: Gvr, namespace?: string, options: ListOptions = {}): Promise<T[]> {
    const items: T[] = [];
    for await (const page of this.pages<T>(gvr, namespace, options)) items.push(...page.items);
    return items;
  }

  /** Page by page, so that a large list never is in memory as one text. */
  async *pages<T extends KubeObject>(
    gvr: Gvr,
    namespace?: string,
    { labelSelector, fieldSelector, limit = 500, timeoutMs }: ListOptions = {},
  ): AsyncGenerator<{ items: T[]; resourceVersion: string }> {
    let token: string | undefined;
    do {
      const page = await this.#json<ListPage<T>>({
        method: 'GET',
        path: resourcePath(gvr, namespace),
        query: { limit, labelSelector, fieldSelector, continue: token },
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      });
      const apiVersion = page.apiVersion;
      // Items of a list come without their type.
      for (const item of page.items) Object.assign(item, { apiVersion, kind: gvr.kind });
      yield { items: page.items, resourceVersion: page.metadata.resourceVersion };
      token = page.metadata.continue || undefined;
    } while (token);
  }

  /** A document of /openapi/v3: what the API server says about the kinds of one group and version. */
  openApi(path: string): Promise<unknown> {
    return this.#json({ method: 'GET', path: `/openapi/v3/${path}` });
  }

  create<T extends KubeObject>(
    gvr: Gvr,
    namespace: Namespace,
    object: KubeObject,
    options: { timeoutMs?: number } = {},
  ): Promise<T> {
    return this.#json<T>({ method: 'POST', path: resourcePath(gvr, namespace), body: object, ...options });
  }

  /** PUT: refused with 409 when the object's resourceVersion is not the newest. */
  replace<T extends KubeObject>(
    gvr: Gvr,
    namespace: Namespace,
    object: T,
    options: { timeoutMs?: number } = {},
  ): Promise<T> {
    const path = resourcePath(gvr, namespace, object.metadata.name);
    return this.#json<T>({ method: 'PUT', path, body: object, ...options });
  }

  /** Server-side apply. A uid in the metadata is a precondition. */
  apply<T extends KubeObject>(
    gvr: Gvr,
    namespace: Namespace,
    name: string,
    object: KubeObject,
    options: ApplyOptions,
  ): Promise<T> {
    return this.#json<T>(applyRequest(gvr, namespace, name, object, options));
  }

  /** As `apply`, but the answer is not parsed: a small part of the CPU, when only the version is needed. */
  async applyLean(
    gvr: Gvr,
    namespace: Namespace,
    name: string,
    object: KubeObject,
    options: ApplyOptions,
  ): Promise<Written> {
    const { body } = await this.#ok(applyRequest(gvr, namespace, name, object, options));
    return { resourceVersion: scanMetadata(body).resourceVersion ?? '' };
  }

  applyStatus<T extends KubeObject>(
    gvr: Gvr,
    namespace: Namespace,
    name: string,
    object: KubeObject,
    options: ApplyOptions,
  ): Promise<T> {
    return this.#json<T>(applyRequest(gvr, namespace, name, object, options, 'status'));
  }

  patch<T extends KubeObject>(
    gvr: Gvr,
    namespace: Namespace,
    name: string,
    patch: Patch,
    { fieldManager, subresource }: PatchOptions = {},
  ): Promise<T> {
    return this.#json<T>({
      method: 'PATCH',
      ...addressOf(gvr, namespace, name, subresource),
      query: { fieldManager },
      contentType: Array.isArray(patch) ? 'application/json-patch+json' : 'application/merge-patch+json',
      body: patch,
    });
  }

  patchStatus<T extends KubeObject>(
    gvr: Gvr,
    namespace: Namespace,
    name: string,
    patch: Patch,
    options: { fieldManager?: string } = {},
  ): Promise<T> {
    return this.patch<T>(gvr, namespace, name, patch, { ...options, subresource: 'status' });
  }

  /** `gone` also when it was gone before, or when another object has its name. */
  async delete(
    gvr: Gvr,
    namespace: Namespace,
    name: string,
    options: DeleteOptions,
  ): Promise<DeletionProgress> {
    const { uid, resourceVersion, propagation = 'Background' } = options;
    try {
      const { kind, metadata } = await this.#json<{ kind: string; metadata?: KubeObject['metadata'] }>({
        method: 'DELETE',
        path: resourcePath(gvr, namespace, name),
        // With its UID a repeated delete can hit nothing else.
        idempotent: true,
        body: {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          propagationPolicy: propagation,
          preconditions: { uid, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
        },
      });
      // An object that finalizers or a grace period hold is answered itself, with the time of its deletion. Of one that
      // is gone there is a Status, or, of a few kinds (Service), the object as it was.
      return kind === 'Status' || metadata?.deletionTimestamp === undefined ? 'gone' : 'going';
    } catch (error) {
      if (isNotFound(error)) return 'gone';
      // Not only a UID that is gone: an object that changed since, or a webhook that answers so. Only a look can tell.
      if (isConflict(error) && (await this.get(gvr, namespace, name))?.metadata.uid !== uid) return 'gone';
      throw error;
    }
  }

  /** Which resource a kind is: the table, else discovery (cached, asked again on a miss). Undefined: no such kind. */
  async resolve(apiVersion: string, kind: string): Promise<Gvr | undefined> {
    return knownGvr(apiVersion, kind) ?? this.#discovery.resolve(apiVersion, kind);
  }

  /** Any request; resolves with any HTTP status, the body parsed when it is JSON. */
  async send(request: KubeRequest): Promise<{ status: number; body: unknown }> {
    const { status, body, headers } = await this.transport.request(request);
    if (body.length === 0) return { status, body: undefined };
    const isJson = headers['content-type']?.includes('json') ?? false;
    return { status, body: isJson ? JSON.parse(body.toString()) : body.toString() };
  }

  async #json<T>(request: KubeRequest): Promise<T> {
    return JSON.parse((await this.#ok(request)).body.toString()) as T;
  }

  async #ok(request: KubeRequest): Promise<KubeResponse> {
    const response = await this.transport.request(request);
    if (response.status < 300) return response;
    const { status, body, headers } = response;
    const waitMs = retryAfterMs(headers['retry-after'], Date.now());
    throw apiErrorOf(status, `${request.method} ${request.path}`, body, waitMs);
  }
}

interface ListPage<T> {
  apiVersion: string;
  metadata: { resourceVersion: string; continue?: string };
  items: T[];
}

const addressOf = (
  gvr: Gvr,
  namespace: Namespace,
  name: string,
  subresource: string | undefined,
): Pick<KubeRequest, 'path' | 'subresource'> => ({
  path: resourcePath(gvr, namespace, name, subresource),
  ...(subresource === undefined ? {} : { subresource }),
});

function applyRequest(
  gvr: Gvr,
  namespace: Namespace,
  name: string,
  object: KubeObject,
  { fieldManager, force = true }: ApplyOptions,
  subresource?: string,
): KubeRequest {
  return {
    method: 'PATCH',
    ...addressOf(gvr, namespace, name, subresource),
    query: { fieldManager, force },
    contentType: 'application/apply-patch+yaml',
    body: object,
  };
}
