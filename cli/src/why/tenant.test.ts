import { ANNOTATIONS, type Condition, type InstanceObject, type TenantObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { whyAnswer } from '../commands/why.ts';
import { paintFor } from '../show/paint.ts';
import { condition, controlled, healthy, NOW } from './facts-fixture.ts';
import { walkTenant } from './tenant.ts';

const READY = condition('Ready', 'True', 'NamespaceReady');
const tenantWith = (over: Partial<TenantObject['metadata']>, ...conditions: Condition[]): TenantObject => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Tenant',
  metadata: { name: 'acme', generation: 1, ...over },
  status: { observedGeneration: 1, conditions },
});
const owned = (tenant: TenantObject): TenantObject => ({
  ...tenant,
  status: {
    observedGeneration: 1,
    ...tenant.status,
    desired: { id: 't', generation: 1, digest: 'd', kid: 'k', signature: 's', rev: '1' },
  },
});
const textOf = (tenant: TenantObject, ...modifiers: Parameters<typeof healthy>): string => {
  const walked = walkTenant(tenant, healthy(...modifiers).platform, NOW);
  return whyAnswer(tenant, walked, paintFor(false), NOW).text(false);
};

test('a good one is ready', () => {
  const text = textOf(tenantWith({}, READY));
  expect(text).toMatch(/^Tenant acme is Ready .*all is as it should be/);
  expect(text).toMatch(/^· link +not needed/m);
  expect(textOf(owned(tenantWith({}, READY)))).toMatch(/^✓ link +connected/m);
});

test.each([
  [
    'its namespace is taken',
    tenantWith({}, condition('Ready', 'False', 'NamespaceConflict', 'namespace tenant-acme is not ours')),
    /^✗ ready +namespace tenant-acme is not ours$/m,
  ],
  ['nobody has handled it', tenantWith({}), /^✗ ready +no operator has handled it yet$/m],
  [
    'its newest spec is not handled',
    tenantWith({ generation: 2 }, READY),
    /^✗ ready +generation 2 is not handled yet$/m,
  ],
  [
    'Instances still live in it',
    tenantWith(
      { deletionTimestamp: '2026-01-01T00:50:00Z' },
      condition('Ready', 'False', 'Deleting'),
      condition('DeletionBlocked', 'True', 'ChildStillExists', '1 Instance still lives in tenant-acme (db)'),
    ),
    /^✗ deletion +1 Instance still lives in tenant-acme \(db\)$/m,
  ],
  [
    'somebody changes its quota',
    tenantWith(
      {},
      READY,
      condition('DriftDetected', 'True', 'DriftReported', 'ResourceQuota is changed by x'),
    ),
    /^✗ drift +ResourceQuota is changed by x$/m,
  ],
  [
    'its deletion is held',
    owned(tenantWith({ annotations: { [ANNOTATIONS.heldDeletion]: '{}' } }, READY)),
    /^✗ deletion +the control plane has deleted it/m,
  ],
] as const)('%s', (_, tenant, text) => {
  expect(textOf(tenant)).toMatch(text);
});

const goingTenant = tenantWith(
  { deletionTimestamp: '2026-01-01T00:50:00Z' },
  condition(
    'DeletionBlocked',
    'True',
    'ChildStillExists',
    '2 Instances still live in tenant-acme (db, mail)',
  ),
);
const findingWith = (...instances: InstanceObject[]) =>
  walkTenant(goingTenant, healthy().platform, NOW, { value: instances }).finding;

test('a Tenant that waits for Instances says how each is deleted, and where to look', () => {
  const { instance: here } = healthy();
  const { instance: ordered } = healthy(controlled, ({ instance }) => (instance.metadata.name = 'mail'));
  const { instance: going } = healthy(({ instance: { metadata } }) =>
    Object.assign(metadata, { name: 'cache', deletionTimestamp: '2026-01-01T00:50:00Z' }),
  );
  expect(findingWith(going, here, ordered)).toMatchObject({
    remedy: 'have 2 Instances deleted: kubectl delete instance db -n tenant-acme, and so on',
    look: ['db', 'mail', 'cache'].map((name) => `felucca why ${name} -n tenant-acme`),
  });
  expect(findingWith(ordered)?.remedy).toBe(
    'have 1 Instance deleted: in the control plane: DELETE /v1/organizations/acme/instances/mail',
  );
  expect(findingWith(going)?.remedy).toMatch(/^its Instances are being deleted/);
  expect(findingWith()?.remedy).toMatch(/^remove what blocks it/);
});

test('an old namespace in the way is no child to wait for', () => {
  const message =
    'the old namespace tenant-acme is still being deleted: Some content has finalizers remaining';
  const text = textOf(tenantWith({}, condition('Ready', 'False', 'ChildrenProgressing', message)));
  expect(text).toMatch(/^Do +wait for the old namespace; what the message names .* has to be removed$/m);
  expect(text).toMatch(/kubectl get namespace tenant-acme -o yaml/);
});

test('the link counts for what the control plane owns', () => {
  const cut = ({ platform }: ReturnType<typeof healthy>): void => {
    if ('value' in platform.dataPlane && platform.dataPlane.value?.status)
      platform.dataPlane.value.status.conditions = [
        condition('FeedConnected', 'False', 'Disconnected', 'no route'),
      ];
  };
  expect(textOf(owned(tenantWith({}, READY)), cut)).toMatch(/^✗ link +no route$/m);
  expect(textOf(tenantWith({}, READY), cut)).toMatch(/all is as it should be/);
});
