import { ANNOTATIONS, digestOf, FEED_KINDS, type FeedKind, type KubeObject } from '@felucca/contract';
import {
  ClusterError,
  type LiveObject,
  type ObjectRef,
  type SyncCluster,
} from '@felucca/operator/sync/cluster';
import type { Watches, WatchListener } from '@felucca/operator/sync/watches';

type Parameters = Record<string, unknown>;
const refName = (kind: string, { namespace, name }: ObjectRef): string =>
  `${kind} ${namespace ?? ''}/${name}`;

export interface ClusterRules {
  /** Milliseconds that a request or an event takes. */
  delayMs: () => number;
  /** Whether this request fails; the write may have happened or not. */
  fails: () => '' | 'before' | 'after';
  /** The operator has it deleted. */
  onRemove: (id: string, generation: number) => void;
}

/**
 * The custom resources of a cluster in memory: server-side apply of flat parameters, UIDs, generations, deletions that take
 * a while. Events come later than answers, in order.
 */
export class SimulatedCluster {
  private readonly objects = new Map<string, LiveObject>();
  private readonly rules: ClusterRules;
  private made = 0;
  private version = 0;
  private history = 0;
  /** Every deletion that was carried out on request of the operator. */
  readonly removed: { id: string; key: string }[] = [];
  private readonly watchers = new Set<(event: WatchEvent) => void>();

  constructor(rules: ClusterRules) {
    this.rules = rules;
    this.store({
      apiVersion: 'felucca.dev/v1alpha1',
      kind: 'DataPlane',
      metadata: { name: 'default' },
      spec: {},
    });
  }

  all(): LiveObject[] {
    return [...this.objects.values()];
  }
  get(kind: FeedKind, ref: ObjectRef): LiveObject | undefined {
    return this.objects.get(refName(kind, ref));
  }
  onEvent(watcher: (event: WatchEvent) => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  store(object: LiveObject): LiveObject {
    const name = refName(object.kind, object.metadata);
    const before = this.objects.get(name);
    this.version += 1;
    const specChanged = digestOf(before?.spec ?? {}) !== digestOf(object.spec ?? {}) || !before;
    const stored: LiveObject = structuredClone({
      ...object,
      metadata: {
        ...object.metadata,
        uid: before?.metadata.uid ?? this.newUid(),
        generation: (before?.metadata.generation ?? 0) + (specChanged ? 1 : 0),
        resourceVersion: String(this.version),
      },
    });
    this.objects.set(name, stored);
    this.tell({ type: 'upserted', object: stored });
    return structuredClone(stored);
  }

  /** Asked to go; its finalizers take some time. */
  remove(kind: FeedKind, ref: ObjectRef): void {
    const object = this.get(kind, ref);
    if (!object || object.metadata.deletionTimestamp) return;
    const deletionTimestamp = new Date().toISOString();
    this.finalize(this.store({ ...object, metadata: { ...object.metadata, deletionTimestamp } }));
  }
  private finalize(going: LiveObject): void {
    const { history } = this;
    setTimeout(() => {
      if (history !== this.history) return;
      this.objects.delete(refName(going.kind, going.metadata));
      this.tell({ type: 'removed', object: going });
    }, this.rules.delayMs() * 3);
  }

  /** Of its etcd. */
  backup(): LiveObject[] {
    return structuredClone(this.all());
  }
  /** Nobody who follows it is told; a leader ends by its Lease, and the next one knows nothing. */
  restore(backup: readonly LiveObject[]): void {
    this.history += 1;
    this.objects.clear();
    for (const object of structuredClone(backup)) {
      this.objects.set(refName(object.kind, object.metadata), object);
      if (object.metadata.deletionTimestamp) this.finalize(object);
    }
  }

  /** A person with kubectl. */
  edit(kind: FeedKind, ref: ObjectRef, parameters: Parameters): void {
    const object = this.get(kind, ref);
    if (!object || object.metadata.deletionTimestamp) return;
    const merged = { ...parametersOf(object), ...parameters };
    const ours = { manager: 'kubectl', operation: 'Update', fieldsV1: fieldsOf(parameters) };
    const managedFields = [
      ...(object.metadata.managedFields ?? []).filter(({ manager }) => manager !== 'kubectl'),
      ours,
    ];
    this.store({
      ...object,
      metadata: { ...object.metadata, managedFields },
      spec: { ...object.spec, parameters: merged },
    });
  }
  annotate(kind: FeedKind, ref: ObjectRef, change: Record<string, string | null>): void {
    const object = this.get(kind, ref);
    if (!object) return;
    const annotations = { ...object.metadata.annotations };
    for (const [name, value] of Object.entries(change))
      if (value === null) delete annotations[name];
      else annotations[name] = value;
    this.store({ ...object, metadata: { ...object.metadata, annotations } });
  }

  private newUid(): string {
    this.made += 1;
    return `uid-${this.made}`;
  }
  private tell(event: WatchEvent): void {
    for (const watcher of this.watchers) watcher(event);
  }

  /** What one process of the operator sees; nothing it asks for happens after its end. */
  client(signal: AbortSignal): { cluster: SyncCluster; watches: Watches } {
    return { cluster: new Client(this, this.rules, signal), watches: watchesOf(this, this.rules, signal) };
  }
}

type WatchEvent = { type: 'upserted' | 'removed'; object: LiveObject };
const parametersOf = (object: KubeObject): Parameters =>
  ((object.spec as Record<string, unknown> | undefined)?.['parameters'] as Parameters) ?? {};
const fieldsOf = (parameters: Parameters): Record<string, unknown> => ({
  'f:spec': { 'f:parameters': Object.fromEntries(Object.keys(parameters).map((name) => [`f:${name}`, {}])) },
});

class Client implements SyncCluster {
  private readonly target: SimulatedCluster;
  private readonly rules: ClusterRules;
  private readonly signal: AbortSignal;
  constructor(target: SimulatedCluster, rules: ClusterRules, signal: AbortSignal) {
    this.target = target;
    this.rules = rules;
    this.signal = signal;
  }

  read(kind: FeedKind, ref: ObjectRef): Promise<LiveObject | undefined> {
    return this.request(() => structuredClone(this.target.get(kind, ref)));
  }
  /** No order here has a secret. */
  readSecret(): Promise<undefined> {
    return this.request(() => undefined);
  }
  apply(object: KubeObject, subresource?: 'status'): Promise<LiveObject> {
    return this.request(() => {
      const kind = object.kind as FeedKind;
      const live = this.target.get(kind, object.metadata);
      const { uid } = object.metadata;
      if (uid !== undefined && live?.metadata.uid !== uid) throw conflict();
      if (subresource) {
        if (!live) throw new ClusterError(404, 'not found');
        return this.target.store({ ...live, status: { ...live.status, ...(object.status as object) } });
      }
      const sent = parametersOf(object);
      const others = (live?.metadata.managedFields ?? []).filter(({ manager }) => manager !== 'felucca-sync');
      const owned = others.flatMap(({ fieldsV1 }) => namesIn(fieldsV1));
      const kept = Object.fromEntries(
        Object.entries(parametersOf(live ?? object)).filter(([name]) => owned.includes(name)),
      );
      const mine = { manager: 'felucca-sync', operation: 'Apply' as const, fieldsV1: fieldsOf(sent) };
      const parameters = { ...kept, ...sent };
      return this.target.store({
        apiVersion: object.apiVersion,
        kind,
        metadata: {
          ...live?.metadata,
          ...object.metadata,
          annotations: { ...live?.metadata.annotations, ...object.metadata.annotations },
          managedFields: [...others, mine],
        },
        spec: {
          ...(object.spec as Record<string, unknown>),
          ...(Object.keys(parameters).length > 0 ? { parameters } : {}),
        },
        ...(live?.status ? { status: live.status } : {}),
      });
    });
  }
  annotate(
    kind: FeedKind,
    ref: ObjectRef,
    uid: string,
    change: Record<string, string | null>,
  ): Promise<void> {
    return this.request(() => {
      if (this.target.get(kind, ref)?.metadata.uid !== uid) throw conflict();
      this.target.annotate(kind, ref, change);
    });
  }
  replaceSpec(
    kind: FeedKind,
    ref: ObjectRef,
    version: string,
    spec: Parameters,
    annotations: Record<string, string>,
  ): Promise<LiveObject> {
    return this.request(() => {
      const live = this.target.get(kind, ref);
      if (!live || live.metadata.resourceVersion !== version) throw conflict();
      const metadata = {
        ...live.metadata,
        annotations: { ...live.metadata.annotations, ...annotations },
      };
      return this.target.store({ ...live, metadata, spec });
    });
  }
  removeFields(
    kind: FeedKind,
    ref: ObjectRef,
    version: string,
    pointers: readonly string[],
  ): Promise<LiveObject> {
    return this.request(() => {
      const live = this.target.get(kind, ref);
      if (!live || live.metadata.resourceVersion !== version) throw conflict();
      const gone = pointers.map((pointer) => pointer.split('/').at(-1));
      const parameters = Object.fromEntries(
        Object.entries(parametersOf(live)).filter(([name]) => !gone.includes(name)),
      );
      return this.target.store({ ...live, spec: { ...live.spec, parameters } });
    });
  }
  remove(kind: FeedKind, ref: ObjectRef, uid: string): Promise<boolean> {
    return this.request(() => {
      const live = this.target.get(kind, ref);
      if (live?.metadata.uid !== uid) return false;
      const id = live.status?.desired?.id ?? live.metadata.annotations?.[ANNOTATIONS.id] ?? '';
      this.target.removed.push({ id, key: `${ref.namespace}/${ref.name}` });
      this.rules.onRemove(id, live.status?.desired?.generation ?? 0);
      this.target.remove(kind, ref);
      return true;
    });
  }

  private async request<T>(act: () => T): Promise<T> {
    const fails = this.rules.fails();
    await wait(this.rules.delayMs());
    // A process that is gone asks for nothing more, and hears of nothing.
    if (this.signal.aborted) return new Promise(() => {});
    if (fails === 'before') throw new ClusterError(0, 'no answer');
    const result = act();
    await wait(this.rules.delayMs());
    if (this.signal.aborted) return new Promise(() => {});
    if (fails === 'after') throw new ClusterError(0, 'no answer');
    return result;
  }
}

const conflict = (): ClusterError => new ClusterError(409, 'it has changed');
const namesIn = (fields: Record<string, unknown> | undefined): string[] =>
  Object.keys(((fields?.['f:spec'] as Parameters)?.['f:parameters'] as Parameters) ?? {}).map((name) =>
    name.slice(2),
  );
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A cache per kind that follows with a delay, in order. */
function watchesOf(target: SimulatedCluster, rules: ClusterRules, signal: AbortSignal): Watches {
  const caches = new Map(FEED_KINDS.map((kind) => [kind, new Map<string, LiveObject>()]));
  const listeners = new Map(FEED_KINDS.map((kind) => [kind, new Set<WatchListener>()]));
  for (const object of target.all())
    caches.get(object.kind as FeedKind)?.set(refName('', object.metadata), structuredClone(object));
  let last: Promise<void> = Promise.resolve();
  const stop = target.onEvent(({ type, object }) => {
    const copy = structuredClone(object);
    const arrival = wait(rules.delayMs());
    last = last
      .then(() => arrival)
      .then(() => {
        if (signal.aborted) return;
        const kind = copy.kind as FeedKind;
        const cache = caches.get(kind)!;
        const name = refName('', copy.metadata);
        const before = cache.get(name);
        if (type === 'removed') cache.delete(name);
        else cache.set(name, copy);
        for (const listener of listeners.get(kind)!)
          if (type === 'removed') listener.removed(copy);
          else listener.upserted(copy, before);
      });
  });
  signal.addEventListener('abort', stop);
  return Object.fromEntries(
    FEED_KINDS.map((kind) => [
      kind,
      {
        all: () => [...caches.get(kind)!.values()],
        get: (ref: ObjectRef) => caches.get(kind)!.get(refName('', ref)),
        listen: (listener: WatchListener) => {
          listeners.get(kind)!.add(listener);
          return () => listeners.get(kind)!.delete(listener);
        },
        listedSince: () => wait(rules.delayMs()),
      },
    ]),
  ) as unknown as Watches;
}
