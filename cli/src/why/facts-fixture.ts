import {
  ANNOTATIONS,
  type Condition,
  type DataPlaneObject,
  type InstanceObject,
  type LiveObject,
  type TenantObject,
} from '@felucca/contract';
import type { ChildFacts } from '../facts/children.ts';
import type { InstanceFacts } from '../facts/instance.ts';
import type { Lease } from '../facts/platform.ts';

export const NOW = new Date('2026-01-01T01:00:00Z');
const EARLIER = '2026-01-01T00:50:00Z';

export const condition = (
  type: string,
  status: Condition['status'],
  reason: string,
  message = reason,
): Condition => ({ type, status, reason, message, lastTransitionTime: EARLIER });

/** An Instance with one ready Deployment on a healthy platform; modifiers break it. */
export function healthy(...modifiers: ((facts: InstanceFacts) => void)[]): InstanceFacts {
  const instance: InstanceObject = {
    apiVersion: 'felucca.dev/v1alpha1',
    kind: 'Instance',
    metadata: { name: 'db', namespace: 'tenant-acme', uid: 'i', generation: 2, creationTimestamp: EARLIER },
    spec: { blueprintRef: { name: 'postgres', version: '1.0.0' } },
    status: { observedGeneration: 2, conditions: [condition('Ready', 'True', 'AllChildrenReady')] },
  };
  const tenant: TenantObject = {
    apiVersion: 'felucca.dev/v1alpha1',
    kind: 'Tenant',
    metadata: { name: 'acme' },
    status: { observedGeneration: 1, conditions: [condition('Ready', 'True', 'NamespaceReady')] },
  };
  const dataPlane: DataPlaneObject = {
    apiVersion: 'felucca.dev/v1alpha1',
    kind: 'DataPlane',
    metadata: { name: 'default' },
    status: {
      observedGeneration: 1,
      cursor: '12',
      conditions: [condition('Joined', 'True', 'Connected'), condition('FeedConnected', 'True', 'Connected')],
    },
  };
  const facts: InstanceFacts = {
    now: NOW,
    instance,
    organization: 'acme',
    tenant: { value: tenant },
    blueprint: {
      value: {
        apiVersion: 'felucca.dev/v1alpha1',
        kind: 'Blueprint',
        metadata: { name: 'postgres-1-0-0' },
        status: { observedGeneration: 1, conditions: [condition('Ready', 'True', 'Valid')] },
      },
    },
    parameterProblems: [],
    platform: {
      operatorNamespace: 'felucca-system',
      dataPlane: { value: dataPlane },
      leases: [{ value: lease('felucca-operator', 'operator-0') }],
    },
    children: [child('web', 'Deployment')],
    events: { value: [] },
    quotas: { value: [] },
  };
  for (const modify of modifiers) modify(facts);
  return facts;
}

export const lease = (name: string, holderIdentity: string): Lease => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name },
  spec: { holderIdentity, leaseDurationSeconds: 15, renewTime: '2026-01-01T00:59:58.000000Z' },
});

export function child(node: string, kind: string, more: Partial<ChildFacts> = {}): ChildFacts {
  const name = `db-${node}`;
  return {
    entry: { node, apiVersion: 'apps/v1', kind, name, uid: `uid-${node}`, wave: 0, onDelete: 'Delete' },
    live: { value: object(kind, name, { uid: `uid-${node}` }) },
    state: { state: 'ready', message: '' },
    isForeign: false,
    pods: [],
    claims: [],
    ...more,
  };
}

export const object = (
  kind: string,
  name: string,
  more: { uid?: string } & Partial<LiveObject> = {},
): LiveObject => {
  const { uid = `uid-${name}`, ...rest } = more;
  return {
    apiVersion: 'v1',
    kind,
    ...rest,
    metadata: { name, uid, creationTimestamp: EARLIER, ...rest.metadata },
  };
};

export const warning = (about: LiveObject, reason: string, message: string): LiveObject => ({
  ...object('Event', `${about.metadata.name}.1`),
  type: 'Warning',
  reason,
  message,
  lastTimestamp: EARLIER,
  involvedObject: { kind: about.kind, name: about.metadata.name, uid: about.metadata.uid },
});

/** The operator's verdict on the newest spec. */
export const notReady =
  (reason: string, message = reason) =>
  ({ instance }: InstanceFacts): void => {
    instance.status!.conditions = [condition('Ready', 'False', reason, message)];
  };

/** The deletion budget holds the deletion of what the control plane owns. */
export const held = ({ instance }: InstanceFacts): void => {
  instance.metadata.annotations = { ...instance.metadata.annotations, [ANNOTATIONS.heldDeletion]: '{}' };
};

export const controlled = ({ instance, blueprint }: InstanceFacts): void => {
  if ('value' in blueprint) blueprint.value!.metadata.annotations = { [ANNOTATIONS.id]: 'id' };
  instance.metadata.annotations = { [ANNOTATIONS.id]: 'id' };
  instance.status!.desired = { id: 'id', generation: 3, digest: 'd', kid: 'k', signature: 's' };
  instance.status!.conditions!.push(condition('Synced', 'True', 'InSync'));
};
