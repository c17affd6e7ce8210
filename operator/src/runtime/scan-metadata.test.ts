import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseWithoutManagedFields, scanMetadata } from './scan-metadata.ts';

const managedFields = [{ manager: 'a"b\\', fieldsV1: { 'f:spec': { 'k:{"name":"]}"}': {} } } }];
const scan = (value: unknown) => scanMetadata(Buffer.from(JSON.stringify(value)));
const parsed = (value: unknown, indent?: number) =>
  parseWithoutManagedFields(Buffer.from(JSON.stringify(value, null, indent)));

test('a watch event and a bare object are read alike', () => {
  const object = { kind: 'X', metadata: { name: 'n', namespace: 's', resourceVersion: '7', uid: 'u' } };
  for (const json of [object, { type: 'ADDED', object }])
    expect(scan(json)).toEqual({ name: 'n', namespace: 's', resourceVersion: '7', uid: 'u' });
});

test('managedFields are cut wherever they stand in the metadata, and with any spacing', () => {
  const cases = [
    { managedFields },
    { managedFields, name: 'n' },
    { name: 'n', managedFields },
    { a: 1, managedFields, name: 'n' },
  ];
  for (const metadata of cases)
    for (const indent of [undefined, 2]) {
      const { managedFields: _, ...rest } = metadata;
      expect(parsed({ metadata, spec: { a: 1 } }, indent)).toEqual({ metadata: rest, spec: { a: 1 } });
    }
});

test('the same words elsewhere are data: in annotations, in strings, in the spec', () => {
  const object = {
    apiVersion: 'v1',
    metadata: {
      annotations: {
        resourceVersion: '666',
        managedFields: '"managedFields":[{"a":1}]',
        'kubectl.kubernetes.io/last-applied-configuration':
          '{"metadata":{"managedFields":[1],"name":"\\\\"}}',
      },
      labels: { name: 'wrong', uid: 'wrong' },
      name: 'right',
      resourceVersion: '7',
    },
    spec: { managedFields: [1, 2], metadata: { name: 'deep', managedFields: [3] }, object: { metadata: {} } },
  };
  expect(scan(object)).toEqual({ name: 'right', resourceVersion: '7' });
  expect(parsed(object)).toEqual(object);
  expect(parsed({ type: 'ADDED', object })).toEqual({ type: 'ADDED', object });
});

test('whatever is in an object, cutting the bytes is the same as removing the field', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\\', '"', '\\"', '"managedFields":[', ']', '}', '💥', '\n'),
  );
  const json = fc.jsonValue({ stringUnit: 'binary', maxDepth: 3 });
  const metadata = fc.record(
    {
      annotations: fc.dictionary(text, text),
      managedFields: fc.array(json),
      name: text,
      labels: fc.dictionary(text, text),
      resourceVersion: fc.constantFrom('1', '18446744073709551615'),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(json, metadata, json, (before, meta, after) => {
      const object = JSON.parse(JSON.stringify({ before, metadata: meta, after })) as {
        metadata: Record<string, unknown>;
      };
      const { managedFields: _, ...rest } = object.metadata;
      expect(parsed(object)).toEqual({ ...object, metadata: rest });
      expect(scan(object).resourceVersion).toBe(object.metadata['resourceVersion']);
    }),
    { numRuns: 300 },
  );
});

test('broken or foreign bytes give an empty scan and never hang', () => {
  for (const text of [
    '',
    '{',
    '{"metadata":',
    '{"metadata":{"name":"',
    '[]',
    'null',
    '{"metadata":[]}',
    '{"object":',
  ])
    expect(Object.keys(scanMetadata(Buffer.from(text))).filter((key) => key === 'managedFields')).toEqual([]);
});
