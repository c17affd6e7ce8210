import {
  API_VERSION,
  CHILD_KINDS,
  type InstanceObject,
  isRecord,
  type KubeObject,
  LABELS,
} from '@felucca/contract';
import type { Reflector, ReflectorOptions } from '../runtime/reflector.ts';
import { knownGvr } from '../runtime/resources.ts';
import type { Store, StoreEvent } from '../runtime/store.ts';
import type { LiveObject } from './cluster.ts';
import { InstanceKeys } from './instance-keys.ts';

/** What is watched and how; client, log and metrics are the composition root's. */
type WatchOptions<T extends KubeObject> = Pick<
  ReflectorOptions<T>,
  'gvr' | 'namespace' | 'labelSelector' | 'project' | 'indexers'
>;
export type CreateReflector = <T extends KubeObject>(options: WatchOptions<T>) => Reflector<T>;

const CLAIM = 'PersistentVolumeClaim';
const BY_INSTANCE = 'instance';
const indexers = {
  [BY_INSTANCE]: (object: LiveObject): readonly string[] => {
    const uid = object.metadata.labels?.[LABELS.instanceUid];
    return uid ? [uid] : [];
  },
};

const BY_NAME = 'instanceName';
/** What a former Instance of a name has left is found by that name. */
const claimIndexers = {
  ...indexers,
  [BY_NAME]: ({ metadata }: LiveObject): readonly string[] => {
    const name = metadata.labels?.[LABELS.instance];
    return name ? [`${metadata.namespace}/${name}`] : [];
  },
};

/** Children and pods of all Instances, by label. Secrets are never watched: they are read by name. */
export class WatchedObjects {
  readonly reflectors: Reflector<LiveObject>[];
  readonly #children: Reflector<LiveObject>[];
  readonly #pods: Reflector<LiveObject>;
  readonly #keys: InstanceKeys;

  constructor(create: CreateReflector, instances: Pick<Store<InstanceObject>, 'list' | 'onEvent'>) {
    this.#keys = new InstanceKeys(instances);
    const watch = (apiVersion: string, kind: string, project: (object: KubeObject) => LiveObject) => {
      const gvr = knownGvr(apiVersion, kind);
      if (!gvr) throw new Error(`${apiVersion} ${kind} is not in the runtime's table of kinds; add it there`);
      return create<LiveObject>({
        gvr,
        labelSelector: LABELS.instanceUid,
        project,
        indexers: kind === CLAIM ? claimIndexers : indexers,
      });
    };
    this.#children = CHILD_KINDS.filter(({ kind }) => kind !== 'Secret').map(({ apiVersion, kind }) =>
      watch(apiVersion, kind, (object) => withoutManagedFields(object, apiVersion, kind)),
    );
    this.#pods = watch('v1', 'Pod', podStatusOnly);
    this.reflectors = [...this.#children, this.#pods];
  }

  /** One of them as the API server answered to our own write; anything else is ignored. */
  learn(object: KubeObject): void {
    if (object.metadata.labels?.[LABELS.instanceUid])
      this.#children.find(({ kind }) => kind === object.kind)?.learn(object);
  }

  *children(instanceUid: string): Iterable<LiveObject> {
    for (const { store } of this.#children) yield* store.by(BY_INSTANCE, instanceUid);
  }

  claims(namespace: string, instanceName: string): Iterable<LiveObject> {
    const claims = this.#children.find(({ kind }) => kind === CLAIM);
    return claims?.store.by(BY_NAME, `${namespace}/${instanceName}`) ?? [];
  }

  pods(instanceUid: string): Iterable<LiveObject> {
    return this.#pods.store.by(BY_INSTANCE, instanceUid);
  }

  /** Names every Instance that an event may be about: one at rest, both when a child is made to look like another's. */
  onEvent(listener: (instanceKey: string, event: StoreEvent<LiveObject>) => void): void {
    for (const { store } of this.reflectors)
      store.onEvent((event) => {
        const keys = new Set(this.#instancesOf(event.object));
        if (event.before) for (const key of this.#instancesOf(event.before)) keys.add(key);
        for (const key of keys) listener(key, event);
      });
  }

  /** By each sign of its own: whoever edits one of them hides nothing. A pod has only its template's labels. */
  *#instancesOf({ metadata }: LiveObject): Iterable<string> {
    const { namespace, labels, ownerReferences = [] } = metadata;
    const owner = ownerReferences.find((one) => one.kind === 'Instance' && one.apiVersion === API_VERSION);
    for (const uid of [labels?.[LABELS.instanceUid], owner?.uid]) {
      const key = uid && this.#keys.of(uid);
      if (key) yield key;
    }
    for (const name of [labels?.[LABELS.instance], owner?.name])
      if (namespace && name) yield `${namespace}/${name}`;
  }
}

/** managedFields are half the bytes of an object; a drift is looked at again with a read that has them. */
function withoutManagedFields(object: KubeObject, apiVersion: string, kind: string): LiveObject {
  const { managedFields: _, ...metadata } = (object as LiveObject).metadata;
  return { ...(object as LiveObject), apiVersion, kind, metadata };
}

/** Of a pod, what tells whether it runs, and since when it should. */
export function podStatusOnly(object: KubeObject): LiveObject {
  const { name, namespace, uid, resourceVersion, labels, creationTimestamp, deletionTimestamp } =
    object.metadata;
  const { nodeName } = isRecord(object.spec) ? object.spec : {};
  const status = isRecord(object.status) ? object.status : {};
  const { phase, conditions, containerStatuses, initContainerStatuses } = status;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      ...(namespace ? { namespace } : {}),
      ...(uid ? { uid } : {}),
      ...(resourceVersion ? { resourceVersion } : {}),
      ...(labels ? { labels } : {}),
      ...(creationTimestamp ? { creationTimestamp } : {}),
      ...(deletionTimestamp ? { deletionTimestamp } : {}),
    },
    spec: { nodeName },
    status: { phase, conditions, containerStatuses, initContainerStatuses },
  };
}
