import { expect, test } from 'vitest';
import { kubernetesTypes } from './kubernetes-types.ts';

const ref = (name: string) => ({ allOf: [{ $ref: `#/components/schemas/${name}` }], default: {} });
const object = (properties: object, required?: string[]) => ({
  type: 'object',
  properties,
  ...(required ? { required } : {}),
});
const document = {
  components: {
    schemas: {
      'io.k8s.api.core.v1.ConfigMap': {
        ...object({
          spec: ref('io.k8s.api.core.v1.Spec'),
          other: ref('io.k8s.api.apps.v1.Spec'),
          raw: { 'x-kubernetes-preserve-unknown-fields': true },
        }),
        'x-kubernetes-group-version-kind': [{ group: '', version: 'v1', kind: 'ConfigMap' }],
      },
      'io.k8s.api.core.v1.Spec': object(
        {
          size: ref('Quantity'),
          port: ref('IntOrString'),
          at: ref('Time'),
          policy: { type: 'string', enum: ['A', 'B'] },
          secret: { type: 'string', format: 'byte' },
          ratio: { type: 'number', format: 'double' },
          on: { type: 'boolean' },
          more: { type: 'array', items: ref('io.k8s.api.core.v1.Spec') },
          labels: { type: 'object', additionalProperties: { type: 'string', default: '' } },
        },
        ['port'],
      ),
      'io.k8s.api.apps.v1.Spec': object({ count: { type: 'integer', format: 'int32' } }),
      Quantity: { oneOf: [{ type: 'string' }, { type: 'number' }] },
      IntOrString: { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] },
      Time: { type: 'string', format: 'date-time' },
    },
  },
};

test('what the API server serves becomes short types; two of one name stay apart, and one may have itself inside', () => {
  expect(kubernetesTypes([document])).toEqual({
    kinds: { 'v1 ConfigMap': 'ConfigMap' },
    types: {
      ConfigMap: { spec: 'Spec', other: 'io.k8s.api.apps.v1.Spec', raw: 'any' },
      Spec: {
        size: 'quantity',
        'port!': 'intOrString',
        at: 'string',
        policy: 'enum<A|B>',
        secret: 'bytes',
        ratio: 'number',
        on: 'bool',
        more: 'list<Spec>',
        labels: 'map<string>',
      },
      'io.k8s.api.apps.v1.Spec': { count: 'int' },
    },
  });
});

test.each([[undefined], ['<html>'], [{}], [{ components: { schemas: [] } }]])(
  'an answer like %j says nothing about any kind',
  (answer) => {
    expect(kubernetesTypes([answer])).toEqual({ kinds: {}, types: {} });
  },
);
