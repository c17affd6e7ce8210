import type { BlueprintObject, InstanceObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { wishedInstance } from './wished.ts';

const blueprint = {
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Blueprint',
  metadata: { name: 'demo-2-0-0' },
  spec: {
    name: 'demo',
    version: '2.0.0',
    parameters: {
      type: 'object',
      properties: {
        version: { type: 'string' },
        replicas: { type: 'integer' },
        disk: { type: 'integer', immutable: true },
        backup: { type: 'object', properties: { keep: { type: 'integer' } } },
      },
    },
    nodes: [],
  },
} as unknown as BlueprintObject;
const instance: InstanceObject = {
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name: 'x', namespace: 'tenant-a' },
  spec: { blueprintRef: { name: 'demo', version: '1.0.0' }, parameters: { replicas: 1, disk: 1 } },
};

test.each([
  ['parameters.replicas=3', { replicas: 3, disk: 1 }],
  ['parameters.version=18', { replicas: 1, disk: 1, version: '18' }],
  ['parameters.backup.keep=7', { replicas: 1, disk: 1, backup: { keep: 7 } }],
  ['parameters.replicas=many', { replicas: 'many', disk: 1 }],
])('%s is understood', (assignment, parameters) => {
  expect(wishedInstance(instance, blueprint, [assignment]).spec).toEqual({
    blueprintRef: { name: 'demo', version: '2.0.0' },
    parameters,
  });
});

test('the way back from a change that was refused is open', () => {
  const refused: InstanceObject = {
    ...instance,
    spec: { blueprintRef: { name: 'demo', version: '1.0.0' }, parameters: { replicas: 1, disk: 2 } },
    status: { observedGeneration: 1, immutable: { '/disk': 1 } },
  };
  expect(wishedInstance(refused, blueprint, ['parameters.disk=1']).spec?.parameters).toMatchObject({
    disk: 1,
  });
  expect(() => wishedInstance(refused, blueprint, [])).toThrow(/\/disk cannot change .* \(it is 1\)/);
});

test.each([
  ['replicas=3', /is not a change/],
  ['parameters.=3', /is not a change/],
  ['parameters.disk=2', /\/disk cannot change/],
])('%s is refused', (assignment, why) => {
  expect(() => wishedInstance(instance, blueprint, [assignment])).toThrow(why);
});
