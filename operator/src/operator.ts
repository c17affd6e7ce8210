import base, {
  type OperatorLogger,
  type ResourceEvent,
  type ResourceEventType,
  type ResourceMeta,
  ResourceMetaImpl,
} from '@dot-i/k8s-operator';
import type { KubeObject } from '@felucca/contract';
import type { Logger } from 'pino';
import {
  addFinalizer,
  apiVersionOf,
  Controller,
  DONE,
  type Gvr,
  type KubeClient,
  Reflector,
  type RuntimeMetrics,
  removeFinalizer,
  resourcePath,
} from './runtime/index.ts';

/** What the process does: started and stopped as one. */
export interface OperatorRuntime {
  readonly client: KubeClient;
  readonly metrics: RuntimeMetrics;
  /** URL of the API server. */
  readonly server: string;
  /** Resolves when it runs. */
  start(): Promise<void>;
  /** Lets what runs end; resolves when nothing runs any more. */
  stop(): Promise<void>;
}

// CommonJS seen from ESM: Node gives the module, in which the class is `default`; others unwrap it.
const Operator = base.default ?? (base as unknown as typeof base.default);

/**
 * The composition root's class. Everything a `@dot-i/k8s-operator` promises is kept, and served by our runtime: the
 * base exits the process on a broken or quiet watch and on its own `stop()`, drops handlers' errors and opens a TLS
 * connection per call. Which member does what is in docs/adr.
 */
export class FeluccaOperator extends Operator {
  readonly #runtime: OperatorRuntime;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  readonly #watches: Promise<void>[] = [];

  constructor(runtime: OperatorRuntime, log: Logger) {
    super(asOperatorLogger(log));
    this.#runtime = runtime;
    this.#log = log;
  }

  protected override async init(): Promise<void> {
    await this.#runtime.start();
  }

  override async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#runtime.stop(), ...this.#watches]);
  }

  /** The handler runs for one object at a time; when it throws it runs again, with backoff. Deletions are never missed. */
  protected override async watchResource(
    group: string,
    version: string,
    plural: string,
    onEvent: (event: ResourceEvent) => Promise<void>,
    namespace?: string,
  ): Promise<void> {
    const gvr = await this.#gvr(group, version, plural);
    const { client, metrics } = this.#runtime;
    const log = this.#log.child({ watch: plural });
    const reflector = new Reflector({ client, log, gvr, ...(namespace ? { namespace } : {}) });
    const deleted = new Map<string, KubeObject>();
    const known = new Set<string>();
    const controller = new Controller({
      name: plural,
      log,
      metrics,
      reconcile: async (key) => {
        const tell = async (type: string, object: KubeObject): Promise<void> => {
          const meta = ResourceMetaImpl.createWithPlural(plural, object as never);
          await onEvent({ meta, type: type as ResourceEventType, object: object as never });
        };
        // First what is gone: another object may have its name by now.
        const gone = deleted.get(key);
        if (gone) {
          await tell('DELETED', gone);
          known.delete(key);
          // One that was deleted while the handler ran is still to be told.
          if (deleted.get(key) === gone) deleted.delete(key);
        }
        const current = reflector.store.get(key);
        if (!current) return DONE;
        await tell(known.has(key) ? 'MODIFIED' : 'ADDED', current);
        known.add(key);
        return DONE;
      },
    });
    reflector.store.onEvent(({ type, key, object }) => {
      if (type === 'deleted') deleted.set(key, object);
      controller.enqueue(key);
    });
    this.#watches.push(reflector.run(this.#stopping.signal), controller.run(this.#stopping.signal));
    await reflector.store.synced;
  }

  protected override getCustomResourceApiUri(
    group: string,
    version: string,
    plural: string,
    namespace?: string,
  ): string {
    const gvr = { group, version, resource: plural, kind: plural, namespaced: namespace !== undefined };
    return `${this.#runtime.server}${resourcePath(gvr, namespace)}`;
  }

  /** CRDs come with the Helm chart: the operator has no right to write them. */
  protected override registerCustomResourceDefinition(): Promise<never> {
    return Promise.reject(new Error('CustomResourceDefinitions are installed by the Helm chart.'));
  }

  protected override setResourceStatus(meta: ResourceMeta, status: unknown): Promise<ResourceMeta | null> {
    return this.#patchStatus(meta, [{ op: 'add', path: '/status', value: status }]);
  }

  protected override patchResourceStatus(meta: ResourceMeta, status: unknown): Promise<ResourceMeta | null> {
    return this.#patchStatus(meta, { status });
  }

  protected override async handleResourceFinalizer(
    event: ResourceEvent,
    finalizer: string,
    deleteAction: (event: ResourceEvent) => Promise<void>,
  ): Promise<boolean> {
    const object = event.object as unknown as KubeObject;
    const gvr = await this.#gvrOf(event.meta);
    if (!object.metadata.deletionTimestamp) {
      if (object.metadata.finalizers?.includes(finalizer)) return false;
      await addFinalizer(this.#runtime.client, gvr, object, finalizer);
      return true;
    }
    if (object.metadata.finalizers?.includes(finalizer)) {
      await deleteAction(event);
      await removeFinalizer(this.#runtime.client, gvr, object, finalizer);
    }
    return true;
  }

  protected override async setResourceFinalizers(meta: ResourceMeta, finalizers: string[]): Promise<void> {
    const gvr = await this.#gvrOf(meta);
    // The version makes it fail, rather than undo what somebody else did to the list.
    const metadata = { finalizers, resourceVersion: meta.resourceVersion };
    await this.#runtime.client.patch(gvr, meta.namespace, meta.name, { metadata });
  }

  async #patchStatus(meta: ResourceMeta, patch: unknown[] | Record<string, unknown>): Promise<ResourceMeta> {
    const gvr = await this.#gvrOf(meta);
    const written = await this.#runtime.client.patchStatus(gvr, meta.namespace, meta.name, patch);
    return ResourceMetaImpl.createWithPlural(gvr.resource, written as never);
  }

  async #gvrOf(meta: ResourceMeta): Promise<Gvr> {
    const found = await this.#runtime.client.resolve(meta.apiVersion, meta.kind);
    if (!found)
      throw new Error(`The API server knows no ${meta.kind} in ${meta.apiVersion}; install its CRD.`);
    return found;
  }

  async #gvr(group: string, version: string, plural: string): Promise<Gvr> {
    const apiVersion = apiVersionOf({ group, version } as Gvr);
    const path = group ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const { body } = await this.#runtime.client.send({ method: 'GET', path });
    const { resources = [] } = (body ?? {}) as {
      resources?: { name: string; kind: string; namespaced: boolean }[];
    };
    const found = resources.find(({ name }) => name === plural);
    if (!found) throw new Error(`The API server knows no ${plural} in ${apiVersion}; install its CRD.`);
    return { group, version, resource: plural, kind: found.kind, namespaced: found.namespaced };
  }
}

const asOperatorLogger = (log: Logger): OperatorLogger => ({
  debug: (message) => log.debug(message),
  info: (message) => log.info(message),
  warn: (message) => log.warn(message),
  error: (message) => log.error(message),
});
