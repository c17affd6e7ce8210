import type { KubeObject, Observer } from '../rig.ts';
import type { Condition } from './administrator.ts';
import { differences, isJson, type Json, valueAt } from './pointer.ts';

/** What an Instance or Tenant comes down to, without what differs between any two of the same spec. */
export interface State extends Json {
  /** `<Kind>/<name>` → the object. */
  children: Json;
  status: Json;
}

/** Counted or chosen by Kubernetes itself: another path to the same state counts differently. */
const COUNTED = ['deployment.kubernetes.io/revision'];
/**
 * The API server fills it in from the tag of the first image and keeps it when the image changes: known of Kubernetes,
 * and the same for `kubectl apply`. A Blueprint that cares sets it.
 */
const FILLED_IN_ONCE = 'imagePullPolicy';

export function instanceState(observer: Observer, instance: KubeObject): State {
  const { uid, namespace } = instance.metadata;
  const children = observer
    .inNamespace(namespace)
    .map(([, object]) => object)
    // Claims are data: they outlive what uses them, and are looked for when all of it is deleted.
    .filter(({ kind }) => kind !== 'PersistentVolumeClaim')
    .filter(({ metadata }) => metadata.labels?.['felucca.dev/instance-uid'] === uid);
  return stateOf(instance, children, namespace);
}

/** Of a Tenant: its namespace and everything that guards it. */
export function tenantState(observer: Observer, tenant: KubeObject): State {
  const { name } = tenant.metadata;
  const namespace = `tenant-${name}`;
  const inside = observer.inNamespace(namespace).map(([, object]) => object);
  const outside = observer.get(`namespaces/${namespace}`);
  const children = [...inside, ...(outside ? [outside] : [])].filter(
    ({ metadata }) => metadata.labels?.['felucca.dev/tenant'] === name,
  );
  return stateOf(tenant, children, namespace);
}

function stateOf(owner: KubeObject, children: readonly KubeObject[], namespace: string): State {
  const { name, uid } = owner.metadata;
  const status = owner['status'] ?? {};
  const { outputs, inventory, immutable, drift, driftCount } = status;
  const state: State = {
    children: Object.fromEntries(
      children.map((child) => [`${child.kind}/${child.metadata.name}`, comparable(child)]),
    ),
    status: {
      conditions: Object.fromEntries(
        (status.conditions ?? []).map(({ type, status: value, reason, message }: Condition) => [
          type,
          { status: value, reason, message },
        ]),
      ),
      outputs,
      inventory: ((inventory ?? []) as Json[]).map((entry) => ({ ...entry, uid: undefined })),
      immutable,
      drift,
      driftCount,
      finalizers: owner.metadata['finalizers'],
    },
  };
  // Also inside of texts and keys, as in the names of children and in the fields of their managers.
  const text = JSON.stringify(state)
    .replaceAll(namespace, '<namespace>')
    .replaceAll(name, '<name>')
    .replaceAll(uid, '<uid>');
  return JSON.parse(text, (key, value: unknown) => (key === FILLED_IN_ONCE ? undefined : value)) as State;
}

function comparable(child: KubeObject): Json {
  const { metadata, status: _, apiVersion: __, ...body } = child;
  const annotations = isJson(metadata['annotations']) ? { ...metadata['annotations'] } : {};
  for (const name of COUNTED) delete annotations[name];
  const managers = (metadata['managedFields'] ?? []) as {
    manager: string;
    subresource?: string;
    fieldsV1: unknown;
  }[];
  return {
    ...body,
    labels: metadata.labels,
    annotations,
    ownerReferences: metadata['ownerReferences'],
    finalizers: metadata['finalizers'],
    isGoing: metadata.deletionTimestamp !== undefined,
    // What we would give up or fight for with the next apply.
    ownedByUs: managers.find(({ manager, subresource }) => manager === 'felucca-operator' && !subresource)
      ?.fieldsV1,
  };
}

/** Places at which two objects of the same spec differ by nature: learned from two of them, not listed by hand. */
export type Mask = ReadonlySet<string>;

export const learnMask = (a: State, b: State): Mask => new Set(differences(a, b).map(ofAnyName));

export const differ = (a: State, b: State, mask: Mask = new Set()): string[] =>
  differences(a, b).filter((pointer) => !mask.has(ofAnyName(pointer)));

/** What differs in one Secret differs in a Secret of another name. */
const ofAnyName = (pointer: string): string => pointer.replace(/^(\/children\/[A-Za-z]+~1)[^/]+/, '$1*');

/** The first differences with both values, for a person. */
export function explain(pointers: readonly string[], actual: State, expected: State): string {
  return pointers
    .slice(0, 4)
    .map((pointer) => {
      const path = pointer
        .slice(1)
        .split('/')
        .map((step) => step.replaceAll('~1', '/'));
      return `${pointer}: is ${short(valueAt(actual, path))}, expected ${short(valueAt(expected, path))}`;
    })
    .join('; ');
}

const short = (value: unknown): string => (JSON.stringify(value) ?? 'absent').slice(0, 300);
