import { describe, expect, test } from 'vitest';
import type { BlueprintNode } from '../resources/blueprint.ts';
import { blueprintFixture } from './blueprint-fixture.ts';
import { compileBlueprint } from './compile.ts';
import { applyDefaults } from './parameters.ts';
import { checkItems, plannedChildren } from './planned-children.ts';
import { renderChild, renderOutputs } from './render.ts';
import { createScope, type Observed } from './scope.ts';

const instance = { name: 'shop', namespace: 'tenant-acme', organization: 'acme', uid: 'u1' };
const config = (fields: Partial<BlueprintNode>, text = '${each.key}') =>
  blueprintFixture((spec) => {
    const manifest = { apiVersion: 'v1', kind: 'ConfigMap', data: { m: text } };
    spec.nodes = [{ id: 'item', manifest, ...fields }];
    spec.outputs = {};
  });
const shards = { forEach: '${params.shards}', key: '${each.value.name}' };
const named = (...names: string[]) => ({ shards: names.map((name) => ({ name })) });

function plan(spec: ReturnType<typeof config>, parameters: object, observed: Observed = {}) {
  const { compiled, problems } = compileBlueprint(spec);
  if (!compiled) throw new Error(JSON.stringify(problems));
  const scope = createScope(
    compiled,
    applyDefaults(spec, { message: 'm', ...parameters }),
    instance,
    observed,
  );
  const children = plannedChildren(compiled, scope);
  return { compiled, scope, children, names: children.map(({ name }) => name) };
}
const rendered = (spec: ReturnType<typeof config>, parameters: object) => {
  const { children, scope } = plan(spec, parameters);
  return children.map((child) => {
    const result = renderChild(child, scope);
    return 'object' in result ? (result.object as { data?: { m: unknown } }).data?.m : result;
  });
};

describe('a node with forEach', () => {
  test('stands for one child per item, named by its key', () => {
    expect(plan(config(shards), named('a', 'b')).names).toEqual(['shop-item-a', 'shop-item-b']);
    expect(plan(config(shards), named()).names).toEqual([]);
  });

  test('sees the item, its key and its index, with their types', () => {
    const text = '${each.key}:${each.value.replicas + 1}:${each.index}';
    expect(rendered(config(shards, text), named('a', 'b'))).toEqual(['a:2:0', 'b:2:1']);
  });

  test('takes the keys of a map, in one order whatever the map’s is', () => {
    const spec = config({ forEach: '${params.settings}' }, '${each.key}=${each.value}');
    expect(rendered(spec, { settings: { b: '2', a: '1' } })).toEqual(['a=1', 'b=2']);
  });

  test('takes texts and integers as their own keys', () => {
    expect(plan(config({ forEach: '${["x", "y"]}' }), {}).names).toEqual(['shop-item-x', 'shop-item-y']);
    const counted = config({ forEach: '${[0, 1, 2].filter(i, i < params.replicas)}' });
    expect(plan(counted, { replicas: 2 }).names).toEqual(['shop-item-0', 'shop-item-1']);
  });

  test('has no children while its `when` does not hold', () => {
    expect(plan(config({ ...shards, when: ['${params.replicas > 1}'] }), named('a')).names).toEqual([]);
  });

  test('is read by others as a map by key, once all of its children are there', () => {
    const spec = config(shards);
    spec.outputs = { names: { value: '${item.map(key, item[key].metadata.name).join(" ")}' } };
    const child = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } });
    const none = plan(spec, named('a', 'b'));
    expect(renderOutputs(none.compiled, none.scope)).toEqual({});
    const all = plan(spec, named('a', 'b'), { item: { b: child('B'), a: child('A') } });
    expect(renderOutputs(all.compiled, all.scope)).toEqual({ names: { value: 'A B' } });
  });

  const longest = 63 - 'shop-item-'.length;
  test.each<[string, string[], RegExp]>([
    ['is no part of a name', ['A b'], /"A b" of node "item" cannot be part of a name; use lower-case/],
    ['ends with a dash', ['a-'], /cannot be part of a name/],
    ['is empty', [''], /cannot be part of a name/],
    ['is there twice', ['a', 'b', 'a'], /"a" of node "item" is there twice; .* there are "a", "b"/],
    ['is too long', ['x'.repeat(longest + 1)], new RegExp(`shorten it to ${longest} characters`)],
  ])('is refused when a key %s', (_, names, message) => {
    const spec = config(shards);
    const parameters = applyDefaults(spec, { message: 'm', ...named(...names) });
    const text = ({ message: what, remedy }: { message: string; remedy: string }) => `${what}; ${remedy}`;
    expect(checkItems(spec, parameters, instance).map(text)).toEqual([expect.stringMatching(message)]);
    expect(() => plan(spec, named(...names))).toThrow();
  });

  test('takes the longest key that fits', () => {
    expect(plan(config(shards), named('x'.repeat(longest))).names[0]).toHaveLength(63);
  });

  test('is refused for more children than an Instance may have, all nodes together', () => {
    const many = (count: number) => named(...Array.from({ length: count }, (_, i) => `k${i}`));
    const spec = config(shards);
    spec.nodes.push({ id: 'other', manifest: { apiVersion: 'v1', kind: 'ConfigMap' } });
    expect(plan(spec, many(63)).names).toHaveLength(64);
    expect(() => plan(spec, many(64))).toThrow(/ask for 65 children, at most 64/);
  });
});
