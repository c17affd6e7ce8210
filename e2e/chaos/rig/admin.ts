import { Agent, request } from 'node:https';
import { collectionPath, type Json, type KubeObject, kindOf } from './kinds.ts';

export interface AdminAnswer {
  readonly status: number;
  readonly body: Json;
}

const TIMEOUT_MS = 30_000;
const APPLY = 'application/apply-patch+yaml';
const MERGE = 'application/merge-patch+json';

/** A person with kubectl and all rights, past the proxy. */
export class Admin {
  readonly #server: URL;
  readonly #headers: Record<string, string>;
  readonly #agent: Agent;

  constructor(cluster: { server: string; caPem: string; adminToken?: string }) {
    this.#server = new URL(cluster.server);
    this.#headers = { authorization: `Bearer ${cluster.adminToken}`, accept: 'application/json' };
    this.#agent = new Agent({ keepAlive: true, ca: cluster.caPem });
  }

  /** Any status is an answer; @throws only when there is none. */
  call(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<AdminAnswer> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers = {
        ...this.#headers,
        // Without a length Node sends the body of a DELETE unframed, and the next request on the socket is lost.
        ...(text === undefined
          ? {}
          : { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }),
      };
      const options = { agent: this.#agent, method, headers, timeout: TIMEOUT_MS };
      const outgoing = request(new URL(path, this.#server), options, (incoming) => {
        let answer = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => {
          answer += chunk;
        });
        incoming.on('error', reject);
        incoming.on('end', () => {
          const isJson = answer.startsWith('{');
          resolve({ status: incoming.statusCode ?? 0, body: isJson ? JSON.parse(answer) : answer });
        });
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path}: no answer`)));
      outgoing.on('error', reject);
      outgoing.end(text);
    });
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

  /** Lines of a watch as parsed events, until the server ends it, the connection breaks or the signal aborts. */
  watch(path: string, onEvent: (event: Json) => void, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const options = { agent: this.#agent, headers: this.#headers, signal };
      const outgoing = request(new URL(path, this.#server), options, (incoming) => {
        let rest = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => {
          // A refusal is no event.
          if (incoming.statusCode !== 200) return;
          const lines = (rest + chunk).split('\n');
          rest = lines.pop() ?? '';
          for (const line of lines) if (line !== '') onEvent(JSON.parse(line));
        });
        incoming.on('error', () => undefined);
        incoming.on('close', resolve);
      });
      outgoing.on('error', () => resolve());
      outgoing.end();
    });
  }

  close(): void {
    this.#agent.destroy();
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
