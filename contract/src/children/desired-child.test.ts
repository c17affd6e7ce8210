import { expect, test } from 'vitest';
import { blueprintFixture } from '../blueprint/blueprint-fixture.ts';
import { compileBlueprint } from '../blueprint/compile.ts';
import { LABELS } from '../identity.ts';
import type { InstanceObject, KubeObject } from '../resources/object.ts';
import { desiredChild } from './desired-child.ts';
import type { DeletionPolicy } from './retention.ts';

const WEB = compileBlueprint(blueprintFixture()).compiled?.nodes.find(({ node }) => node.id === 'web');
const instance = (version: string, uid = 'u1', suspend = false): InstanceObject => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name: 'shop', namespace: 'tenant-acme', uid },
  spec: { blueprintRef: { name: 'web', version }, suspend },
});
const rendered = (): KubeObject & Record<string, unknown> => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'shop-web', namespace: 'tenant-acme' },
  spec: { replicas: 3, template: { spec: { containers: [] } } },
});
const made = (of: InstanceObject, object = rendered()) => {
  if (!WEB) throw new Error('the fixture has no node "web"');
  return desiredChild(object, { compiled: WEB, name: object.metadata.name }, of);
};
// biome-ignore lint/suspicious/noExplicitAny: any Kubernetes object
const specOf = (of: InstanceObject): any => (made(of).object as { spec?: unknown }).spec;

test('a selector holds only what never changes, and finds the pods of every version', () => {
  const selectors = [instance('1.0.0'), instance('2.0.0'), instance('2.0.0', 'u2')].map(
    (of) => specOf(of).selector.matchLabels,
  );
  expect(selectors[0]).toEqual({ [LABELS.instance]: 'shop', [LABELS.node]: 'web' });
  expect(selectors[1]).toEqual(selectors[0]);
  expect(selectors[2]).toEqual(selectors[0]);
  expect(specOf(instance('1.0.0')).template.metadata.labels).toMatchObject(selectors[0]);
});

test('the labels that say whose it is cannot be overwritten by a Blueprint', () => {
  const object = rendered();
  object.metadata.labels = { [LABELS.instanceUid]: 'of-another', note: 'kept' };
  expect(made(instance('1.0.0'), object).object.metadata.labels).toMatchObject({
    [LABELS.instanceUid]: 'u1',
    note: 'kept',
  });
});

test.each<[string, DeletionPolicy, boolean]>([
  ['Deployment', 'Delete', true],
  ['Deployment', 'Retain', true],
  ['Deployment', 'Orphan', false],
  ['Secret', 'Delete', true],
  ['Secret', 'Retain', false],
  ['PersistentVolumeClaim', 'Retain', false],
])('a %s has an owner under %s: %s', (kind, deletionPolicy, isOwned) => {
  const of = instance('1.0.0');
  of.spec = { ...of.spec!, deletionPolicy };
  const { ownerReferences } = made(of, { ...rendered(), kind }).object.metadata;
  expect(ownerReferences?.map(({ uid }) => uid) ?? []).toEqual(isOwned ? ['u1'] : []);
});

test('pods run under the account without rights, whatever the Blueprint says', () => {
  const object = rendered();
  object.spec = { template: { spec: { serviceAccountName: 'admin', automountServiceAccountToken: true } } };
  expect(made(instance('1.0.0'), object).object).toMatchObject({
    spec: {
      template: { spec: { serviceAccountName: 'felucca-workload', automountServiceAccountToken: false } },
    },
  });
});

test('suspended, it has no replicas, and another hash', () => {
  expect(specOf(instance('1.0.0', 'u1', true)).replicas).toBe(0);
  expect(made(instance('1.0.0', 'u1', true)).hash).not.toBe(made(instance('1.0.0')).hash);
});

test('what was rendered stays as it was, and the same gives the same hash', () => {
  const object = rendered();
  const { hash } = made(instance('1.0.0'), object);
  expect(object).toEqual(rendered());
  expect(made(instance('1.0.0'), object).hash).toBe(hash);
});
