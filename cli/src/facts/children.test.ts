import { type InstanceObject, type InventoryEntry, LABELS } from '@felucca/contract';
import { expect, test } from 'vitest';
import type { Kube } from '../kube/client.ts';
import { child, healthy, NOW, object } from '../why/facts-fixture.ts';
import { branchOf } from './branch.ts';
import { childrenFacts } from './children.ts';

/** A cluster in which nothing is there. */
const nothing = { get: async () => undefined, list: async () => [] } as unknown as Kube;

const factsOf = (entry: Partial<InventoryEntry>, metadata: Partial<InstanceObject['metadata']> = {}) => {
  const { instance } = healthy();
  Object.assign(instance.metadata, metadata);
  instance.status!.inventory = [{ ...child('web', 'Deployment').entry, ...entry }];
  return childrenFacts(nothing, instance, NOW);
};
const { uid: _, ...announced } = child('web', 'Deployment').entry;

test('a child with a UID that is not there was made, and is lost', async () => {
  const facts = await factsOf({});
  expect(facts.children[0]).toMatchObject({
    isLost: true,
    state: { message: 'it was made, and somebody deleted it' },
  });
  expect(branchOf(facts).branches[0]).toMatchObject({ message: 'it was made, and somebody deleted it' });
});

test('one that was only announced does not exist yet', async () => {
  const { instance } = await factsOf({});
  instance.status!.inventory = [announced];
  const [only] = (await childrenFacts(nothing, instance, NOW)).children;
  expect(only?.isLost).toBeUndefined();
  expect(only?.state?.message).toBe('it does not exist yet');
});

test.each([
  ['is taken up again when a former Instance has left it', { [LABELS.managedBy]: 'felucca' }, false],
  ['is another’s when it does not say so', {}, true],
])('an object of the name %s', async (_, labels, isForeign) => {
  const { instance } = healthy();
  instance.status!.inventory = [announced];
  const places = { [LABELS.instance]: 'db', [LABELS.node]: 'web', [LABELS.instanceUid]: 'former' };
  const left = object('Deployment', 'db-web', {
    metadata: { name: 'db-web', labels: { ...places, ...labels } },
  });
  const cluster = {
    get: async (kind: string) => (kind === 'Deployment' ? left : undefined),
    list: async () => [],
  };
  const { children } = await childrenFacts(cluster as unknown as Kube, instance, NOW);
  expect(children[0]).toMatchObject({ isForeign });
});

test('of an Instance on its way out it is gone, and nothing to wait for', async () => {
  const facts = await factsOf({}, { deletionTimestamp: '2026-01-01T00:59:00Z' });
  expect(facts.children[0]?.isLost).toBeUndefined();
  expect(branchOf(facts).branches[0]).toMatchObject({ state: 'gone', message: '' });
});
