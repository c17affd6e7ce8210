import { expect, test } from 'vitest';
import { ANNOTATIONS } from '../identity.ts';
import type { InventoryEntry } from '../resources/instance.ts';
import type { InstanceObject } from '../resources/object.ts';
import { hasNewEntries, inventoryOf, inventoryRevision, writeAheadAnnotation } from './inventory.ts';

const entry = (name: string, uid?: string): InventoryEntry => ({
  node: name,
  apiVersion: 'v1',
  kind: 'Service',
  name,
  ...(uid ? { uid } : {}),
  wave: 0,
  onDelete: 'Delete',
});

function instance(annotation: string | undefined, listed: InventoryEntry[] = [], revision?: number) {
  return {
    apiVersion: 'felucca.dev/v1alpha1',
    kind: 'Instance',
    metadata: {
      name: 'site',
      ...(annotation === undefined ? {} : { annotations: { [ANNOTATIONS.inventory]: annotation } }),
    },
    status: {
      observedGeneration: 1,
      inventory: listed,
      ...(revision === undefined ? {} : { inventoryRevision: revision }),
    },
  } as InstanceObject;
}
const ahead = (of: InstanceObject, entries: InventoryEntry[]): string =>
  writeAheadAnnotation(of, entries)[ANNOTATIONS.inventory] as string;

test('what was written ahead counts until a status has taken it over', () => {
  const announced = instance(ahead(instance(undefined), [entry('a'), entry('b')]));
  expect(inventoryOf(announced).map(({ name }) => name)).toEqual(['a', 'b']);
  const text = announced.metadata.annotations?.[ANNOTATIONS.inventory];
  const taken = instance(text, [entry('a', '1')], inventoryRevision(announced));
  expect(inventoryOf(taken)).toEqual([entry('a', '1')]);
});

test('a later announcement counts again, and a known child keeps its UID', () => {
  const known = instance('{"revision":1,"entries":[]}', [entry('a', '1')], 1);
  const text = ahead(known, [entry('a', '1'), entry('c')]);
  expect(inventoryOf(instance(text, [entry('a', '1')], 1))).toEqual([entry('a', '1'), entry('c')]);
});

test('a UID counts only in the status: anybody may write the annotation', () => {
  const forged = instance(ahead(instance(undefined), [entry('a', '9'), entry('b', '8')]), [entry('a', '1')]);
  expect(inventoryOf(forged)).toEqual([entry('a', '1'), entry('b')]);
});

test('the revision grows also when somebody took the annotation away', () => {
  const stripped = instance(undefined, [entry('a', '1')], 7);
  expect(JSON.parse(ahead(stripped, [entry('a')]))).toMatchObject({ revision: 8 });
  expect(inventoryRevision(stripped)).toBe(7);
});

test.each([
  '',
  'no JSON',
  '[]',
  '{"revision":0,"entries":[]}',
  '{"revision":9,"entries":[{"kind":"Secret"}]}',
])('an annotation that somebody broke is ignored: %s', (text) => {
  expect(inventoryOf(instance(text, [entry('a', '1')], 1))).toEqual([entry('a', '1')]);
  expect(inventoryRevision(instance(text, [], 1))).toBe(1);
});

test('a child that is announced without its UID is being replaced, until a status has taken that over', () => {
  const known = instance(undefined, [entry('a', '1'), entry('b', '2')]);
  const text = ahead(known, [entry('a'), entry('b', '2')]);
  const announced = instance(text, [entry('a', '1'), entry('b', '2')]);
  expect(inventoryOf(announced)).toEqual([entry('a'), entry('b', '2')]);
  const taken = instance(text, [entry('a', '3'), entry('b', '2')], inventoryRevision(announced));
  expect(inventoryOf(taken)).toEqual([entry('a', '3'), entry('b', '2')]);
});

test('only children that nobody has announced are new, and those that are to be replaced', () => {
  expect(hasNewEntries([entry('a', '1')], [entry('a', '1')])).toBe(false);
  expect(hasNewEntries([entry('a')], [entry('a')])).toBe(false);
  expect(hasNewEntries([entry('a', '1')], [entry('a')])).toBe(true);
  expect(hasNewEntries([entry('a', '1')], [entry('a', '1'), entry('b')])).toBe(true);
  expect(hasNewEntries([entry('a')], [{ ...entry('a'), kind: 'Secret' }])).toBe(true);
});
