import {
  ANNOTATIONS,
  applyDefaults,
  type BlueprintObject,
  createScope,
  desiredChild,
  FIELD_MANAGERS,
  type InstanceObject,
  LABELS,
  type LiveObject,
  renderChild,
} from '@felucca/contract';
import { expect, test } from 'vitest';
import { isProduct, makeProduct } from '../facts/product.ts';
import { differences } from './differences.ts';

const CANARY = 'canary-of-the-test';
const sealed = (text: string) => ({ sealed: `eyJ${text}..${'A'.repeat(16)}.AA.${'A'.repeat(22)}` });
const blueprint: BlueprintObject = {
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Blueprint',
  metadata: { name: 'demo-1-0-0' },
  spec: {
    name: 'demo',
    version: '1.0.0',
    parameters: { type: 'object', properties: { password: { type: 'string', sensitive: true } } },
    nodes: [
      {
        id: 'secret',
        manifest: { apiVersion: 'v1', kind: 'Secret', stringData: { key: 'p:${params.password}' } },
      },
    ],
  },
};
const instance = (password: object): InstanceObject => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name: 'x', namespace: 'tenant-a', uid: 'i' },
  spec: { blueprintRef: { name: 'demo', version: '1.0.0' }, parameters: { password } },
});
const productOf = (of: InstanceObject) => {
  const made = makeProduct(blueprint, of);
  if (!isProduct(made)) throw new Error(JSON.stringify(made.problems));
  return made;
};

/** As the operator applied it, which has the value. */
function applied(of: InstanceObject, editedBy?: string): LiveObject {
  const { compiled, planned } = productOf(of);
  const parameters = applyDefaults(compiled.spec, of.spec?.parameters);
  const names = { name: 'x', namespace: 'tenant-a', organization: 'a', uid: 'i' };
  const rendered = renderChild(
    planned[0]!,
    createScope(compiled, parameters, names, {}, { password: CANARY }),
  );
  if ('waitingFor' in rendered) throw new Error(rendered.waitingFor);
  const { object } = desiredChild(rendered.object, planned[0]!, of, rendered.marked);
  const ours = {
    'f:metadata': { 'f:labels': {}, 'f:annotations': {} },
    ...(editedBy ? {} : { 'f:data': { 'f:key': {} } }),
  };
  return {
    ...object,
    metadata: {
      ...object.metadata,
      uid: 'u',
      managedFields: [
        { manager: FIELD_MANAGERS.reconciler, operation: 'Apply', fieldsV1: ours },
        ...(editedBy
          ? [
              {
                manager: editedBy,
                operation: 'Update',
                time: '2026-01-01T00:00:00Z',
                fieldsV1: { 'f:data': { 'f:key': {} } },
              },
            ]
          : []),
      ],
    },
  } as LiveObject;
}
const diff = (of: InstanceObject, live: LiveObject) =>
  differences(of, productOf(of), [], new Map([['x-secret', { value: live }]]))[0];

test('a Secret with a sealed value is as desired, although nobody here can open it', () => {
  const live = applied(instance(sealed('a')));
  expect(live.metadata.labels?.[LABELS.instanceUid]).toBe('i');
  expect(diff(instance(sealed('a')), live)).toMatchObject({ state: 'same' });
});

test.each([
  ['an edit of it', applied(instance(sealed('a')), 'kubectl-edit')],
  ['another value', applied(instance(sealed('b')))],
])('%s is a difference that tells no value', (_, live) => {
  const found = diff(instance(sealed('a')), live);
  expect(found).toMatchObject({
    state: 'differs',
    fields: [{ path: '/data/key', expected: '(secret value)', actual: '(another secret value)' }],
  });
  expect(JSON.stringify(found)).not.toContain(CANARY);
  expect(live.metadata.annotations?.[ANNOTATIONS.appliedHash]).toBeDefined();
});
