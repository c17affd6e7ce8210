import { FIELD_MANAGERS, type KubeObject } from '@felucca/contract';
import { ApiError } from '../runtime/api-error.ts';
import type { KubeClient } from '../runtime/client.ts';
import type { Gvr } from '../runtime/resources.ts';
import {
  type ApplyOptions,
  ClusterError,
  type LiveObject,
  type ObjectRef,
  type ReconcilerCluster,
} from './cluster.ts';

/** The reconcilers' view of the API server over the runtime's client. */
export class KubeReconcilerCluster implements ReconcilerCluster {
  readonly #client: KubeClient;
  readonly #onWritten: (object: LiveObject) => void;

  /** `onWritten` gets each object as the API server answered to a write. */
  constructor(client: KubeClient, onWritten: (object: LiveObject) => void) {
    this.#client = client;
    this.#onWritten = onWritten;
  }

  read({ apiVersion, kind, namespace, name }: ObjectRef): Promise<LiveObject | undefined> {
    return this.#call(apiVersion, kind, (gvr) => this.#client.get<LiveObject>(gvr, namespace, name));
  }

  list(apiVersion: string, kind: string, namespace: string, labelSelector: string): Promise<LiveObject[]> {
    return this.#call(apiVersion, kind, async (gvr) => {
      const items = await this.#client.list<LiveObject>(
        gvr,
        namespace,
        labelSelector ? { labelSelector } : {},
      );
      // Items of a list do not say what they are.
      return items.map((item) => ({ ...item, apiVersion, kind }));
    });
  }

  warnings(namespace: string, uid: string): Promise<LiveObject[]> {
    return this.#call('v1', 'Event', (gvr) =>
      this.#client.list<LiveObject>(gvr, namespace, {
        fieldSelector: `type=Warning,involvedObject.uid=${uid}`,
      }),
    );
  }

  async openApi(path: string): Promise<unknown> {
    try {
      return await this.#client.openApi(path);
    } catch (error) {
      throw asClusterError(error);
    }
  }

  apply(object: KubeObject, { manager, subresource }: ApplyOptions): Promise<LiveObject> {
    const { namespace, name } = object.metadata;
    const options = { fieldManager: manager };
    return this.#write(object, (gvr) =>
      subresource === 'status'
        ? this.#client.applyStatus<LiveObject>(gvr, namespace, name, object, options)
        : this.#client.apply<LiveObject>(gvr, namespace, name, object, options),
    );
  }

  mergePatch(ref: ObjectRef, patch: Record<string, unknown>): Promise<LiveObject> {
    return this.#write(ref, (gvr) =>
      this.#client.patch<LiveObject>(gvr, ref.namespace, ref.name, patch, {
        fieldManager: FIELD_MANAGERS.reconciler,
      }),
    );
  }

  remove(ref: ObjectRef, uid: string, propagation: 'Foreground' | 'Background'): Promise<'gone' | 'going'> {
    return this.#call(ref.apiVersion, ref.kind, (gvr) =>
      this.#client.delete(gvr, ref.namespace, ref.name, { uid, propagation }),
    );
  }

  async #write(
    { apiVersion, kind }: Pick<ObjectRef, 'apiVersion' | 'kind'>,
    action: (gvr: Gvr) => Promise<LiveObject>,
  ): Promise<LiveObject> {
    const written = await this.#call(apiVersion, kind, action);
    this.#onWritten(written);
    return written;
  }

  async #call<T>(apiVersion: string, kind: string, action: (gvr: Gvr) => Promise<T>): Promise<T> {
    try {
      const gvr = await this.#client.resolve(apiVersion, kind);
      if (!gvr) throw new ClusterError(404, `the API server knows no ${apiVersion} ${kind}`);
      return await action(gvr);
    } catch (error) {
      throw asClusterError(error);
    }
  }
}

const asClusterError = (error: unknown): unknown =>
  error instanceof ApiError ? new ClusterError(error.status, error.message, error) : error;
