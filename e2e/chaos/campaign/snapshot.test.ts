import { expect, test } from 'vitest';
import { differences, historyDifferences, historyOf, maskOf, snapshotOf } from './snapshot.ts';

const service = (id: string, over: object = {}, metadata: object = {}) =>
  [
    `services/tenant-${id}/main-service`,
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: 'main-service',
        namespace: `tenant-${id}`,
        uid: `u-${id}`,
        resourceVersion: id,
        ...metadata,
      },
      spec: { ports: [{ port: 80 }], ...over },
      status: { loadBalancer: id },
    },
  ] as [string, never];
const instance = (id: string, status: object) =>
  [
    `instances.felucca.dev/tenant-${id}/main`,
    { apiVersion: 'felucca.dev/v1alpha1', kind: 'Instance', metadata: { name: 'main' }, status },
  ] as [string, never];

const diff = (a: [string, never][], b: [string, never][]) =>
  differences(snapshotOf(a, 'za'), snapshotOf(b, 'zb'), new Set()).map(({ what }) => what);

test('two runs that come to the same are the same', () => {
  expect(diff([service('za')], [service('zb')])).toEqual([]);
});

test.each([
  [
    'a field that differs',
    [service('zb', { ports: [{ port: 81 }] })],
    ['services/tenant-CASE/main-service /spec/ports/0/port'],
  ],
  ['an object that is missing', [], expect.arrayContaining(['services/tenant-CASE/main-service'])],
  [
    'an object that is going',
    [service('zb', {}, { deletionTimestamp: 'now' })],
    expect.arrayContaining(['services/tenant-CASE/main-service']),
  ],
])('%s is found', (_, actual, expected) => {
  expect(diff([service('za')], actual)).toEqual(expected);
});

test('of our own objects the status counts, whatever order its conditions have', () => {
  const ready = { type: 'Ready', status: 'True', lastTransitionTime: 'then' };
  const other = { type: 'Reconciling', status: 'False' };
  const one = instance('za', { conditions: [ready, other] });
  expect(
    diff([one], [instance('zb', { conditions: [other, { ...ready, lastTransitionTime: 'now' }] })]),
  ).toEqual([]);
  expect(diff([one], [instance('zb', { conditions: [other, { ...ready, status: 'False' }] })])).toEqual([
    'instances.felucca.dev/tenant-CASE/main /status/conditions/Ready/status',
  ]);
});

test('what runs without a fault do not agree about is no difference', () => {
  const [one, other] = [service('za', { clusterIP: '10.0.0.1' }), service('zb', { clusterIP: '10.0.0.2' })];
  const [first, second] = [snapshotOf([one], 'za'), snapshotOf([other], 'zb')];
  const masked = maskOf(first, second);
  const third = snapshotOf([service('zb', { clusterIP: '10.0.0.3' })], 'zb');
  expect(differences(first, third, masked)).toEqual([]);
});

const changes = (...types: string[]) => types.map((type) => ({ type, key: 'services/tenant-za/s' }));

test('an object that was made or went once more is found, though nothing of it is left', () => {
  const expected = historyOf(changes('ADDED', 'MODIFIED'), 'za');
  const actual = historyOf(changes('ADDED', 'MODIFIED', 'DELETED', 'ADDED'), 'za');
  expect(historyDifferences(expected, actual, false)).toEqual([
    { what: 'services/tenant-CASE/s', expected: 'made 1×, gone 0×', actual: 'made 2×, gone 1×' },
  ]);
  expect(historyDifferences(expected, expected, false)).toEqual([]);
});

test('who was kept from seeing may have done less, never more', () => {
  const expected = historyOf(changes('ADDED', 'DELETED'), 'za');
  expect(historyDifferences(expected, historyOf([], 'za'), true)).toEqual([]);
  const more = historyOf(changes('ADDED', 'DELETED', 'ADDED', 'DELETED'), 'za');
  expect(historyDifferences(expected, more, true)).toHaveLength(1);
});
