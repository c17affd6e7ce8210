import { Agent, request } from 'node:https';
import { CHILD_KINDS, type KubeObject, RESOURCES } from '@felucca/contract';
import {
  type ApplyOptions,
  ClusterError,
  type LiveObject,
  type ObjectRef,
  type ReconcilerCluster,
} from '../src/reconcilers/cluster.ts';
import { apiErrorOf } from '../src/runtime/api-error.ts';

const PLURALS: Record<string, string> = {
  NetworkPolicy: 'networkpolicies',
  Ingress: 'ingresses',
  ...Object.fromEntries(Object.values(RESOURCES).map(({ kind, plural }) => [kind, plural])),
};
const CLUSTER_SCOPED = [
  'Namespace',
  'Tenant',
  'Blueprint',
  'DataPlane',
  'CustomResourceDefinition',
  'ClusterRole',
];

/** A cluster for tests: plain requests as admin, every write counted, faults between writes on demand. */
export class ApiCluster implements ReconcilerCluster {
  readonly writes: string[] = [];
  /** Quorum reads of single objects. */
  readonly reads: string[] = [];
  /** Called before each write; throwing is the crash. */
  beforeWrite: (what: string) => void | Promise<void> = () => undefined;
  /** Called before each read of one object. */
  beforeRead: (what: string) => void = () => undefined;
  readonly #agent: Agent;
  readonly #server: URL;
  #token: string;

  constructor(server: string, caPem: string, token: string) {
    this.#agent = new Agent({ keepAlive: true, ca: caPem });
    this.#server = new URL(server);
    this.#token = token;
  }

  /** From now on with the rights of whoever has this token, and under the policies that are for them. */
  actAs(token: string): void {
    this.#token = token;
  }

  async read(ref: ObjectRef): Promise<LiveObject | undefined> {
    this.reads.push(pathOf(ref));
    this.beforeRead(`GET ${pathOf(ref)}`);
    try {
      return await this.#call('GET', pathOf(ref));
    } catch (error) {
      if (error instanceof ClusterError && error.status === 404) return undefined;
      throw error;
    }
  }

  async list(apiVersion: string, kind: string, namespace: string, selector: string): Promise<LiveObject[]> {
    const path = `${collection({ apiVersion, kind, namespace })}?labelSelector=${encodeURIComponent(selector)}`;
    const list = (await this.#call('GET', path)) as unknown as { items: LiveObject[] };
    return list.items.map((item) => ({ ...item, apiVersion, kind }));
  }

  async warnings(namespace: string, uid: string): Promise<LiveObject[]> {
    const fields = encodeURIComponent(`type=Warning,involvedObject.uid=${uid}`);
    const path = `${collection({ apiVersion: 'v1', kind: 'Event', namespace })}?fieldSelector=${fields}`;
    return ((await this.#call('GET', path)) as unknown as { items: LiveObject[] }).items;
  }

  openApi(path: string): Promise<unknown> {
    return this.#call('GET', `/openapi/v3/${path}`);
  }

  apply(object: KubeObject, options: ApplyOptions): Promise<LiveObject> {
    const suffix = options.subresource ? `/${options.subresource}` : '';
    const query = `?fieldManager=${options.manager}&force=true`;
    return this.#write(
      'PATCH',
      `${pathOf({ ...object, ...object.metadata })}${suffix}${query}`,
      object,
      'application/apply-patch+yaml',
    );
  }

  mergePatch(
    ref: ObjectRef,
    patch: Record<string, unknown>,
    manager = 'felucca-operator',
  ): Promise<LiveObject> {
    return this.#write(
      'PATCH',
      `${pathOf(ref)}?fieldManager=${manager}`,
      patch,
      'application/merge-patch+json',
    );
  }

  async remove(
    ref: ObjectRef,
    uid: string,
    propagation: 'Foreground' | 'Background',
  ): Promise<'gone' | 'going'> {
    try {
      const { kind, metadata } = await this.#write('DELETE', pathOf(ref), {
        kind: 'DeleteOptions',
        apiVersion: 'v1',
        preconditions: { uid },
        propagationPolicy: propagation,
      });
      return kind === 'Status' || metadata.deletionTimestamp === undefined ? 'gone' : 'going';
    } catch (error) {
      const mayBeGone = error instanceof ClusterError && [404, 409].includes(error.status);
      if (mayBeGone && (await this.read(ref))?.metadata.uid !== uid) return 'gone';
      throw error;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #write(method: string, path: string, body: unknown, contentType?: string): Promise<LiveObject> {
    const what = `${method} ${path.split('?')[0]}`;
    await this.beforeWrite(what);
    this.writes.push(what);
    return this.#call(method, path, body, contentType);
  }

  /** A kind that was established a moment ago answers 429 until its storage is ready. */
  async #call(method: string, path: string, body?: unknown, contentType?: string): Promise<LiveObject> {
    const deadline = performance.now() + 10_000;
    for (;;)
      try {
        return await this.#send(method, path, body, contentType);
      } catch (error) {
        const isBusy = error instanceof ClusterError && error.status === 429;
        if (!isBusy || performance.now() > deadline) throw error;
      }
  }

  #send(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<LiveObject> {
    // With a length: Node sends the body of a DELETE unframed otherwise.
    const sent = body === undefined ? '' : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          agent: this.#agent,
          method,
          host: this.#server.hostname,
          port: this.#server.port,
          path,
          timeout: 15_000,
          headers: {
            authorization: `Bearer ${this.#token}`,
            'content-type': contentType,
            'content-length': Buffer.byteLength(sent),
          },
        },
        (incoming) => {
          let text = '';
          incoming.setEncoding('utf8');
          incoming.on('data', (chunk: string) => (text += chunk));
          incoming.on('end', () => {
            const status = incoming.statusCode ?? 0;
            const reply = JSON.parse(text) as LiveObject & { message?: string };
            if (status < 300) resolve(reply);
            else reject(new ClusterError(status, reply.message ?? text, apiErrorOf(status, method, text)));
          });
        },
      );
      outgoing.on('timeout', () => outgoing.destroy(new ClusterError(0, `${method} ${path} timed out`)));
      outgoing.on('error', reject);
      outgoing.end(sent);
    });
  }
}

function collection({ apiVersion, kind, namespace }: Omit<ObjectRef, 'name'>): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const scope = CLUSTER_SCOPED.includes(kind) ? '' : `/namespaces/${namespace}`;
  return `${root}${scope}/${PLURALS[kind] ?? `${kind.toLowerCase()}s`}`;
}
const pathOf = (ref: ObjectRef): string => `${collection(ref)}/${ref.name}`;

/** Kinds that a reconcile knows from its watches. */
export const WATCHED_KINDS = [
  ...CHILD_KINDS.filter(({ kind }) => kind !== 'Secret'),
  { apiVersion: 'v1', kind: 'Pod' },
];
