import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { changedBy, isStillOwned, ownedDifferences } from './owned-fields.ts';

describe('owned differences', () => {
  test.each([
    ['a default of the API server', { spec: { a: 1 } }, { spec: { a: 1, b: 2 } }, []],
    ['a changed value', { spec: { a: 1 } }, { spec: { a: 2 } }, ['/spec/a']],
    ['a removed value', { spec: { a: 1 } }, { spec: {} }, ['/spec/a']],
    ['an empty value that the API server leaves out', { spec: { a: [], b: {}, c: false } }, { spec: {} }, []],
    [
      'a quantity in another form',
      { limits: { cpu: '1000m', memory: '1024Mi' } },
      { limits: { cpu: '1', memory: '1Gi' } },
      [],
    ],
    ['a text that looks like a quantity', { data: { cpu: '1000m' } }, { data: { cpu: '1' } }, ['/data/cpu']],
    [
      'an injected container',
      { containers: [{ name: 'a' }] },
      { containers: [{ name: 'x' }, { name: 'a', image: 'i' }] },
      [],
    ],
    [
      'a removed container',
      { containers: [{ name: 'a' }, { name: 'b' }] },
      { containers: [{ name: 'a' }] },
      ['/containers/1'],
    ],
    [
      'a port with the default protocol',
      { ports: [{ port: 80 }] },
      { ports: [{ port: 80, protocol: 'TCP', nodePort: 3 }] },
      [],
    ],
    ['an atomic list that grew', { args: ['a'] }, { args: ['a', 'b'] }, ['/args']],
    ['a changed item of an atomic list', { args: ['a'] }, { args: ['b'] }, ['/args/0']],
    [
      'a label that somebody adds to a selector',
      { spec: { selector: { app: 'a' } } },
      { spec: { selector: { app: 'a', more: 'b' } } },
      ['/spec/selector'],
    ],
    [
      'a label that somebody adds deep in a selector',
      { from: [{ podSelector: { matchLabels: { app: 'a' } } }] },
      { from: [{ podSelector: { matchLabels: { app: 'a', more: 'b' }, matchExpressions: [] } }] },
      ['/from/0/podSelector'],
    ],
    [
      'a selector without a label of ours',
      { selector: { app: 'a', tier: 'b' } },
      { selector: { app: 'a' } },
      ['/selector/tier'],
    ],
    [
      'keys that objects inherit something under',
      { labels: { constructor: 'x' }, toString: [{ a: 1 }] },
      { labels: {}, toString: [{ a: 1 }] },
      ['/labels/constructor'],
    ],
    ['a key with a slash', { labels: { 'a/b': 'x' } }, { labels: { 'a/b': 'y' } }, ['/labels/a~1b']],
  ])('for %s', (_, desired, live, paths) => {
    expect(ownedDifferences(desired, live).map((difference) => difference.path)).toEqual(paths);
  });

  test('are none between anything and itself with more fields beside it', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        expect(ownedDifferences(value, { zzz: 1, ...structuredClone(value) })).toEqual([]);
      }),
    );
  });
});

const desired = { spec: { containers: [{ name: 'a', image: 'x' }], args: ['a'] } };
const container = { 'k:{"name":"a"}': { '.': {}, 'f:name': {}, 'f:image': {} } };
const us = {
  manager: 'us',
  operation: 'Apply',
  fieldsV1: { 'f:spec': { 'f:containers': container, 'f:args': {} } },
};

test.each([
  ['/spec/containers/0/image', true],
  ['/spec/args/0', true],
  ['/spec/replicas', false],
])('ownership of %s is read from the field set: %s', (path, owned) => {
  expect(isStillOwned([us], path, 'us', desired)).toBe(owned);
  expect(isStillOwned([{ ...us, operation: 'Update' }], path, 'us', desired)).toBe(false);
});

test('the latest other owner of a field is who changed it, a scale request included', () => {
  const fieldsV1 = { 'f:spec': { 'f:containers': container } };
  const managed = [
    us,
    { manager: 'old', operation: 'Update', time: '2026-01-01T00:00:00Z', fieldsV1 },
    { manager: 'kubectl', operation: 'Update', subresource: 'scale', time: '2026-01-02T00:00:00Z', fieldsV1 },
    {
      manager: 'controller',
      operation: 'Update',
      subresource: 'status',
      time: '2026-01-03T00:00:00Z',
      fieldsV1,
    },
  ];
  expect(changedBy(managed, '/spec/containers/0/image', 'us', desired)).toEqual({
    manager: 'kubectl',
    time: '2026-01-02T00:00:00Z',
  });
});
