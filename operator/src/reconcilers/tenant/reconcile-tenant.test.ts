import {
  ANNOTATIONS,
  type Condition,
  FINALIZER,
  type KubeObject,
  type TenantObject,
} from '@felucca/contract';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  type ApplyOptions,
  ClusterError,
  type LiveObject,
  type ObjectRef,
  type ReconcilerCluster,
} from '../cluster.ts';
import { FailurePatience } from '../failure.ts';
import { RepairThrottle } from '../instance/repair-throttle.ts';
import { reconcileTenant, type TenantContext } from './reconcile-tenant.ts';

const ENFORCE = 'pod-security.kubernetes.io/enforce';
const OURS = [{ manager: 'felucca-operator', operation: 'Apply', fieldsV1: {} }];

/** A cluster with one Tenant. What we apply is ours alone, until somebody edits it. */
function clusterWithTenant() {
  let nowMs = 0;
  const tenant: TenantObject = {
    apiVersion: 'felucca.dev/v1alpha1',
    kind: 'Tenant',
    metadata: { name: 'acme', uid: 'uid-1', generation: 1, finalizers: [FINALIZER] },
    spec: {},
  };
  const objects = new Map<string, LiveObject>();
  const faults = { beforeApply: (): void => undefined };
  const applied: string[] = [];
  const events: string[] = [];
  const metrics = { detected: 0, repaired: 0, throttled: 0 };
  const nameOf = ({ kind, name }: Pick<ObjectRef, 'kind' | 'name'>): string => `${kind}/${name}`;
  const cluster = {
    read: async (ref: ObjectRef) => objects.get(nameOf(ref)),
    apply: async (object: KubeObject, { subresource }: ApplyOptions) => {
      if (object.kind === 'Tenant') {
        if (subresource) tenant.status = object.status as NonNullable<TenantObject['status']>;
        return tenant;
      }
      faults.beforeApply();
      const name = nameOf({ ...object, ...object.metadata });
      applied.push(name);
      const metadata = { ...object.metadata, managedFields: OURS };
      objects.set(name, { ...structuredClone(object), metadata } as LiveObject);
      return object;
    },
  } as unknown as ReconcilerCluster;
  const context: TenantContext = {
    cluster,
    afterwards: cluster,
    tenants: { get: () => tenant },
    operator: { namespace: 'felucca-system', serviceAccount: 'operator', tenantClusterRole: 'tenant' },
    failures: new FailurePatience(() => nowMs),
    throttle: new RepairThrottle(() => nowMs),
    metrics: {
      driftDetected: () => (metrics.detected += 1),
      driftRepaired: () => (metrics.repaired += 1),
      repairThrottled: () => (metrics.throttled += 1),
      childChanged: () => undefined,
    },
    emit: (_, { reason, message }) => events.push(`${reason}: ${message}`),
    clock: () => new Date('2026-01-01T00:00:00Z'),
  };
  return {
    tenant,
    objects,
    applied,
    events,
    metrics,
    faults,
    pass: (ms: number) => (nowMs += ms),
    reconcile: () => reconcileTenant(context, 'acme'),
    condition: (type: string): Condition | undefined =>
      tenant.status?.conditions?.find((condition) => condition.type === type),
    applies: (name: string) => applied.filter((one) => one === name).length,
  };
}

let given: ReturnType<typeof clusterWithTenant>;
beforeEach(async () => {
  given = clusterWithTenant();
  expect(await given.reconcile()).toEqual({ kind: 'done' });
  expect(given.condition('Ready')).toMatchObject({ status: 'True' });
  expect(given.events).toEqual([]);
  given.applied.length = 0;
});

/** As a controller that syncs the labels of namespaces. */
const relabel = (): void => {
  const { metadata } = given.objects.get('Namespace/tenant-acme')!;
  metadata.labels = { ...metadata.labels, [ENFORCE]: 'privileged' };
  const fieldsV1 = { 'f:metadata': { 'f:labels': { [`f:${ENFORCE}`]: {} } } };
  metadata.managedFields = [{ manager: 'label-syncer', operation: 'Update', fieldsV1 }];
};
const putBackExport = (): void => {
  const { metadata } = given.objects.get('ResourceQuota/felucca')!;
  metadata.annotations = { [ANNOTATIONS.appliedHash]: 'sha256:of-an-export' };
  const fieldsV1 = { 'f:metadata': { 'f:annotations': { [`f:${ANNOTATIONS.appliedHash}`]: {} } } };
  metadata.managedFields = [{ manager: 'argocd', operation: 'Apply', fieldsV1 }];
};
const removePolicy = (): void => void given.objects.delete('NetworkPolicy/felucca-dns');

describe.each([
  ['syncs its labels', 'Namespace/tenant-acme', relabel, 'label-syncer'],
  ['puts an older version back', 'ResourceQuota/felucca', putBackExport, 'argocd'],
  ['deletes it', 'NetworkPolicy/felucca-dns', removePolicy, 'somebody'],
])('a guard rail of a namespace, where somebody %s', (_, rail, change, who) => {
  test('is set back, and an Event says what it was', async () => {
    change();
    expect(await given.reconcile()).toEqual({ kind: 'done' });
    expect(given.applied).toEqual([rail]);
    expect(given.events).toEqual([expect.stringMatching(`^DriftCorrected: ${rail} .* by ${who}$`)]);
    expect(given.metrics).toEqual({ detected: 1, repaired: 1, throttled: 0 });
    expect(given.condition('DriftDetected')).toBeUndefined();
    expect(await given.reconcile()).toEqual({ kind: 'done' });
    expect(given.applied).toHaveLength(1);
  });

  test('again and again, is set back five times a minute, and the last change not lost', async () => {
    for (let time = 0; time < 50; time += 1) {
      change();
      await given.reconcile();
    }
    expect(given.applied).toEqual(Array.from({ length: 5 }, () => rail));
    expect(given.metrics).toEqual({ detected: 5, repaired: 5, throttled: 45 });
    expect(given.condition('Ready')).toMatchObject({ status: 'True' });
    expect(given.condition('DriftDetected')).toMatchObject({
      status: 'True',
      reason: 'RepairsPaused',
      message: expect.stringMatching(`^${rail} .*again and again by ${who}; .*stop the other writer`),
    });
    expect(given.events.filter((event) => event.startsWith('RepairsPaused'))).toHaveLength(1);
    given.pass(20_000);
    expect(await given.reconcile()).toMatchObject({ kind: 'waiting', afterMs: 40_000 });
    given.pass(40_000);
    expect(await given.reconcile()).toEqual({ kind: 'done' });
    expect(given.applies(rail)).toBe(6);
    expect(given.condition('DriftDetected')).toBeUndefined();
  });
});

test('a fight about one guard rail delays no other', async () => {
  for (let time = 0; time < 10; time += 1) {
    relabel();
    await given.reconcile();
  }
  removePolicy();
  expect(await given.reconcile()).toMatchObject({ kind: 'waiting' });
  expect(given.applies('NetworkPolicy/felucca-dns')).toBe(1);
});

test('a repair that has to be repeated, because the API server is busy, is not made to wait for it', async () => {
  relabel();
  given.faults.beforeApply = () => {
    throw new ClusterError(503, 'overloaded');
  };
  for (let attempt = 0; attempt < 10; attempt += 1)
    expect(await given.reconcile()).toMatchObject({ kind: 'retry' });
  given.faults.beforeApply = () => undefined;
  expect(await given.reconcile()).toEqual({ kind: 'done' });
  expect(given.applied).toEqual(['Namespace/tenant-acme']);
});

test('what the Tenant itself asks for is no drift, and waits for nothing', async () => {
  for (let pods = 1; pods <= 10; pods += 1) {
    given.tenant.spec = { quota: { pods } };
    given.tenant.metadata.generation = pods + 1;
    expect(await given.reconcile()).toEqual({ kind: 'done' });
  }
  expect(given.applies('ResourceQuota/felucca')).toBe(10);
  expect(given.events).toEqual([]);
  expect(given.metrics.detected).toBe(0);
});
