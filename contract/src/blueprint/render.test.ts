import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../canonical.ts';
import type { KubeObject } from '../resources/object.ts';
import { blueprintFixture } from './blueprint-fixture.ts';
import { compileBlueprint } from './compile.ts';
import { applyDefaults } from './parameters.ts';
import { plannedChildren } from './planned-children.ts';
import { holds, renderChild, renderOutputs } from './render.ts';
import { createScope, type Scope } from './scope.ts';
import { splitTemplate } from './template.ts';

const instance = { name: 'shop', namespace: 'tenant-acme', organization: 'acme', uid: 'u1' };
function compiled(change?: Parameters<typeof blueprintFixture>[0]) {
  const result = compileBlueprint(blueprintFixture(change));
  if (!result.compiled) throw new Error(JSON.stringify(result.problems));
  return result.compiled;
}
const scope = (parameters: object, observed: Record<string, KubeObject> = {}, of = compiled()) =>
  createScope(of, applyDefaults(of.spec, { message: 'hi', ...parameters }), instance, observed);
const node = (id: string, of = compiled()) => {
  const found = of.nodes.find((item) => item.node.id === id);
  if (!found) throw new Error(`no node ${id}`);
  return found;
};
const renderNode = (id: string, scope: Scope, of = compiled()) => {
  const child = plannedChildren(of, scope).find(({ compiled }) => compiled.node.id === id);
  if (!child) throw new Error(`no child of ${id}`);
  return renderChild(child, scope);
};
const service = (spec: object): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'shop-service' },
  spec,
});

describe('rendering', () => {
  test('a whole expression keeps its type and a partial one becomes text', () => {
    const observed = { service: service({ clusterIP: '10.0.0.1' }) };
    expect(renderNode('web', scope({ replicas: 3 }, observed))).toMatchObject({
      object: {
        metadata: { name: 'shop-web', namespace: 'tenant-acme' },
        spec: { replicas: 3, template: { spec: { containers: [{ env: [{ value: '10.0.0.1' }] }] } } },
      },
    });
    expect(renderNode('config', scope({}))).toMatchObject({ object: { data: { m: 'm: hi' } } });
  });

  test('waits for a field of a child, not for the child’s readiness', () => {
    expect(renderNode('web', scope({}))).toEqual({ waitingFor: 'service' });
    expect(renderNode('web', scope({}, { service: service({}) }))).toEqual({
      waitingFor: 'service.spec.clusterIP',
    });
  });

  test('outputs that wait are left out and secrets are references', () => {
    expect(renderOutputs(compiled(), scope({}, { credentials: service({}) }))).toEqual({
      password: { secretRef: { name: 'shop-credentials', key: 'password' } },
    });
  });

  test('a rule over a field that does not exist yet does not hold', () => {
    const rule = node('web').ready[0];
    if (!rule) throw new Error('the fixture has a rule');
    const web = (status: object): KubeObject => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'w' },
      status,
    });
    expect(holds(rule, scope({ replicas: 2 }), web({}))).toBe(false);
    expect(holds(rule, scope({ replicas: 2 }), web({ readyReplicas: 1 }))).toBe(false);
    expect(holds(rule, scope({ replicas: 2 }), web({ readyReplicas: 2 }))).toBe(true);
  });

  test('a number stays a double even when it is whole', () => {
    const change = compiled((spec) => {
      (spec.nodes[0] as { manifest: unknown }).manifest = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        data: { m: '${string(params.ratio * 2.5)}' },
      };
    });
    expect(renderNode('config', scope({ ratio: 2 }, {}, change), change)).toMatchObject({
      object: { data: { m: '5' } },
    });
  });

  test('the same parameters give the same bytes, whatever the order of their keys', () => {
    const of = compiled((spec) => {
      (spec.nodes[0] as { manifest: unknown }).manifest = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        data: { m: '${params.settings.map(k, k + "=" + params.settings[k]).join(";")}' },
      };
    });
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), fc.string({ maxLength: 8 })),
        (settings) => {
          const reversed = Object.fromEntries(Object.entries(settings).reverse());
          const bytes = (value: object) =>
            canonicalJson(renderNode('config', scope({ settings: value }, {}, of), of));
          expect(bytes(settings)).toBe(bytes(reversed));
        },
      ),
    );
  });

  test('text without expressions comes back unchanged, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('$', '{', '}', 'a', '"') }), (text) => {
        // As a string, `$$` would mean one `$` to replaceAll.
        const escaped = text.replaceAll('${', () => '$${');
        expect(
          splitTemplate(escaped)
            .map((part) => ('text' in part ? part.text : '!'))
            .join(''),
        ).toBe(text);
      }),
    );
  });
});

test('braces and quotes inside an expression do not end it', () => {
  expect(splitTemplate('a ${ {"x": "}"}["x"] } $${b}')).toEqual([
    { text: 'a ' },
    { expression: '{"x": "}"}["x"]' },
    { text: ' ${b}' },
  ]);
});
