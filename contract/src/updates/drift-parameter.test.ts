import { describe, expect, test } from 'vitest';
import { blueprintFixture } from '../blueprint/blueprint-fixture.ts';
import { compileBlueprint } from '../blueprint/compile.ts';
import { parameterOfField } from './drift-parameter.ts';
import { driftText, driftValue } from './drift-text.ts';

const { compiled, problems } = compileBlueprint(
  blueprintFixture((spec) => {
    const config = spec.nodes.find((node) => node.id === 'config');
    Object.assign(config?.manifest as object, {
      data: {
        whole: '${params.message}',
        text: 'm: ${params.message}',
        sum: '${string(params.replicas + 1)}',
        fixed: 'x',
        plain: '${"a" + "b"}',
      },
      metadata: { annotations: '' },
    });
    Object.assign(config?.manifest as object, { metadata: { annotations: { a: '${params.message}' } } });
    spec.nodes.push({
      id: 'shard',
      forEach: '${params.settings}',
      manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { value: '${each.value}' } },
    });
    spec.nodes.push({
      id: 'settings',
      manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: '${params.settings}' },
    });
  }),
);
const origin = (node: string, path: string) => {
  const found = compiled?.nodes.find((item) => item.node.id === node);
  if (!compiled || !found) throw new Error(JSON.stringify(problems));
  const result = parameterOfField(found, path, compiled.parameters);
  return 'parameter' in result ? result.parameter : result.refusal;
};

describe('the parameter that a field of a child is', () => {
  test.each([
    ['web', '/spec/replicas', '/replicas'],
    ['config', '/data/whole', '/message'],
    ['config', '/metadata/annotations/a', '/message'],
    ['settings', '/data/log', '/settings/log'],
    ['settings', '/data', '/settings'],
  ])('%s %s', (node, path, parameter) => {
    expect(origin(node, path)).toBe(parameter);
  });

  test.each([
    ['a fixed value', 'config', '/data/fixed', /fixed value; publish a version/],
    ['a text around it', 'config', '/data/text', /computes this field: .*; set "message"/],
    ['a computation', 'config', '/data/sum', /computes this field: .*; set "replicas"/],
    ['a computation of nothing', 'config', '/data/plain', /; publish a version that makes it a parameter/],
    ['a field that the operator sets', 'web', '/spec/selector', /does not set this field/],
    [
      'a field of another child',
      'web',
      '/spec/template/spec/containers/0/env/0/value',
      /from other children/,
    ],
    ['a field of one of many', 'shard', '/data/value', /change this child's item in \$\{params.settings\}/],
    ['a value of a Secret', 'credentials', '/data/password', /never leave the cluster/],
    ['a label of a Secret', 'credentials', '/metadata/labels/a', /the operator does/],
    ['a child that was deleted', 'web', '', /whole child was deleted/],
  ])('is none for %s, and the refusal says what to change instead', (_, node, path, refusal) => {
    expect(origin(node, path)).toMatch(refusal);
  });
});

describe('the text of a drift', () => {
  test.each([
    ['integer', 3],
    ['boolean', false],
    ['string', '3'],
    ['object', { a: '1' }],
  ] as const)('gives a value of type %s back', (type, value) => {
    expect(driftValue(driftText(value), { type })).toEqual(value);
  });

  test.each([
    ['was cut off', driftText('x'.repeat(600)), 'string'],
    ['says that the field is gone', driftText(undefined), 'string'],
    ['is of another type', 'many', 'integer'],
  ] as const)('tells no value when it %s', (_, text, type) => {
    expect(driftValue(text, { type })).toBeUndefined();
  });
});
