import {
  API_VERSION,
  type FeedKind,
  FIELD_MANAGERS,
  type KubeObject,
  pointer,
  RESOURCES,
} from '@felucca/contract';
import {
  ClusterError,
  type LiveObject,
  type ObjectRef,
  type SecretObject,
  type SyncCluster,
} from './cluster.ts';

export interface KubeRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path with query. */
  path: string;
  /** What of the object is written; the path names it too. */
  subresource?: 'status';
  contentType?: string;
  body?: unknown;
}
/** One request to the API server; rejects only when no answer came. */
export type KubeTransport = (request: KubeRequest) => Promise<{ status: number; body: unknown }>;

/** The sync's view of the API server over the runtime's transport. */
export class KubeSyncCluster implements SyncCluster {
  private readonly transport: KubeTransport;

  constructor(transport: KubeTransport) {
    this.transport = transport;
  }

  read(kind: FeedKind, ref: ObjectRef): Promise<LiveObject | undefined> {
    return this.get(objectPath(kind, ref));
  }

  readSecret(namespace: string, name: string): Promise<SecretObject | undefined> {
    return this.get(`/api/v1/namespaces/${namespace}/secrets/${name}`);
  }

  private async get(path: string): Promise<LiveObject | undefined> {
    const answer = await this.send({ method: 'GET', path });
    if (answer.status === 404) return undefined;
    return okObject(answer);
  }

  async apply(object: KubeObject, subresource?: 'status'): Promise<LiveObject> {
    const path = objectPath(object.kind as FeedKind, object.metadata, subresource);
    // Without a UID there was nothing: whoever took the name since our look keeps it (409), and the next look tells.
    const force = object.metadata.uid !== undefined;
    return okObject(
      await this.send({
        method: 'PATCH',
        path: `${path}?fieldManager=${FIELD_MANAGERS.sync}&force=${force}`,
        ...(subresource ? { subresource } : {}),
        contentType: 'application/apply-patch+yaml',
        body: object,
      }),
    );
  }

  async annotate(
    kind: FeedKind,
    ref: ObjectRef,
    uid: string,
    annotations: Record<string, string | null>,
  ): Promise<void> {
    okObject(
      await this.send({
        method: 'PATCH',
        path: `${objectPath(kind, ref)}?fieldManager=${FIELD_MANAGERS.sync}`,
        contentType: 'application/merge-patch+json',
        body: { metadata: { uid, annotations } },
      }),
    );
  }

  replaceSpec(
    kind: FeedKind,
    ref: ObjectRef,
    resourceVersion: string,
    spec: Record<string, unknown>,
    annotations: Record<string, string>,
  ): Promise<LiveObject> {
    const marks = Object.entries(annotations).map(([name, value]) => ({
      op: 'add',
      path: pointer('/metadata/annotations', name),
      value,
    }));
    return this.patch(kind, ref, resourceVersion, [{ op: 'add', path: '/spec', value: spec }, ...marks]);
  }

  removeFields(
    kind: FeedKind,
    ref: ObjectRef,
    resourceVersion: string,
    pointers: readonly string[],
  ): Promise<LiveObject> {
    // The last first: removing an element of a list would move the ones behind it.
    const removals = [...pointers].reverse().map((path) => ({ op: 'remove', path }));
    return this.patch(kind, ref, resourceVersion, removals);
  }

  private async patch(
    kind: FeedKind,
    ref: ObjectRef,
    resourceVersion: string,
    operations: readonly { op: string; path: string; value?: unknown }[],
  ): Promise<LiveObject> {
    const answer = await this.send({
      method: 'PATCH',
      path: `${objectPath(kind, ref)}?fieldManager=${FIELD_MANAGERS.sync}`,
      contentType: 'application/json-patch+json',
      body: [{ op: 'test', path: '/metadata/resourceVersion', value: resourceVersion }, ...operations],
    });
    // The `test` failed: the object moved on, which is a conflict, to be looked at again.
    if (answer.status === 422 && messageOf(answer.body) === PATCH_DOES_NOT_FIT)
      throw new ClusterError(409, `${kind} ${ref.name} is no longer what was read (${resourceVersion})`);
    return okObject(answer);
  }

  async remove(kind: FeedKind, ref: ObjectRef, uid: string): Promise<boolean> {
    const answer = await this.send({
      method: 'DELETE',
      path: objectPath(kind, ref),
      contentType: 'application/json',
      body: {
        kind: 'DeleteOptions',
        apiVersion: 'v1',
        propagationPolicy: 'Background',
        preconditions: { uid },
      },
    });
    if (answer.status === 404) return false;
    if (answer.status >= 300) throw new ClusterError(answer.status, messageOf(answer.body));
    return true;
  }

  private async send(request: KubeRequest): Promise<{ status: number; body: unknown }> {
    try {
      return await this.transport(request);
    } catch (error) {
      throw new ClusterError(0, `the API server did not answer: ${(error as Error).message}`);
    }
  }
}

function objectPath(kind: FeedKind, ref: ObjectRef, subresource?: 'status'): string {
  const namespace = ref.namespace ? `/namespaces/${ref.namespace}` : '';
  const tail = subresource ? `/${subresource}` : '';
  return `/apis/${API_VERSION}${namespace}/${RESOURCES[kind].plural}/${ref.name}${tail}`;
}

function okObject(answer: { status: number; body: unknown }): LiveObject {
  if (answer.status >= 300) throw new ClusterError(answer.status, messageOf(answer.body));
  return answer.body as LiveObject;
}

/** All that the API server says of a JSON patch that cannot be applied; what an object must not become is told otherwise. */
const PATCH_DOES_NOT_FIT = 'the server rejected our request due to an error in our request';

const messageOf = (body: unknown): string => {
  const message = (body as { message?: unknown } | undefined)?.message;
  return typeof message === 'string' ? message : 'the API server refused the request without a message';
};
