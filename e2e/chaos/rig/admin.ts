import { type KubeApi, kubeApi } from '@felucca/dev';
import { collectionPath, type Json, type KubeObject, kindOf } from './kinds.ts';

export interface AdminAnswer {
  readonly status: number;
  readonly body: Json;
}

const APPLY = 'application/apply-patch+yaml';
const MERGE = 'application/merge-patch+json';

/** A person with kubectl and all rights, past the proxy. */
export class Admin {
  readonly #api: KubeApi;

  constructor({ server, caPem, adminToken = '' }: { server: string; caPem: string; adminToken?: string }) {
    this.#api = kubeApi(server, caPem, adminToken);
  }

  /** Any status is an answer; @throws only when there is none. */
  async call(method: string, path: string, body?: unknown, contentType?: string): Promise<AdminAnswer> {
    const { status, body: text } = await this.#api.call(method, path, body, contentType);
    return { status, body: text.startsWith('{') ? JSON.parse(text) : text };
  }

  /** As `kubectl apply --server-side --force-conflicts`. */
  apply(object: KubeObject, manager = 'kubectl'): Promise<Json> {
    const { name, namespace } = object.metadata;
    const path = `${this.#path(object, namespace)}/${name}?fieldManager=${manager}&force=true`;
    return this.#must('PATCH', path, object, APPLY);
  }

  create(object: KubeObject): Promise<Json> {
    return this.#must('POST', this.#path(object, object.metadata.namespace), object);
  }

  /** As `kubectl patch --type=merge`; `subresource` such as `status`. */
  patch(object: KubeObject, patch: unknown, subresource = ''): Promise<Json> {
    const { name, namespace } = object.metadata;
    const path = `${this.#path(object, namespace)}/${name}${subresource && `/${subresource}`}`;
    return this.#must('PATCH', `${path}?fieldManager=kubectl-edit`, patch, MERGE);
  }

  /** As `kubectl delete --wait=false`; gone already is fine. */
  async delete(object: KubeObject, options: unknown = {}): Promise<void> {
    const { name, namespace } = object.metadata;
    const path = `${this.#path(object, namespace)}/${name}`;
    const { status, body } = await this.call('DELETE', path, options);
    if (status >= 300 && status !== 404) throw new Error(`DELETE ${path}: ${status} ${JSON.stringify(body)}`);
  }

  async get(object: KubeObject): Promise<Json | undefined> {
    const { name, namespace } = object.metadata;
    const { status, body } = await this.call('GET', `${this.#path(object, namespace)}/${name}`);
    return status === 200 ? body : undefined;
  }

  /** Events of a watch, until it ends, for whatever reason. */
  watch(path: string, onEvent: (event: Json) => void, signal: AbortSignal): Promise<void> {
    return this.#api.watch(path, onEvent, signal);
  }

  close(): void {
    this.#api.close();
  }

  #path({ apiVersion, kind }: KubeObject, namespace: string | undefined): string {
    return collectionPath(kindOf(apiVersion, kind), namespace);
  }

  async #must(method: string, path: string, body: unknown, contentType?: string): Promise<Json> {
    const answer = await this.call(method, path, body, contentType);
    if (answer.status >= 200 && answer.status < 300) return answer.body;
    throw new Error(`${method} ${path}: ${answer.status} ${answer.body?.message ?? ''}`);
  }
}
