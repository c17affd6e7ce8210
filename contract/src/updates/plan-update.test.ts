import { describe, expect, test } from 'vitest';
import { blueprintFixture } from '../blueprint/blueprint-fixture.ts';
import { compileBlueprint } from '../blueprint/compile.ts';
import type { BlueprintSpec } from '../resources/blueprint.ts';
import { planUpdate } from './plan-update.ts';
import type { InstanceVersion } from './preview.ts';

const names = { organization: 'acme', name: 'site' };
const order = (
  parameters: object = {},
  change: (spec: BlueprintSpec) => void = () => undefined,
  suspend = false,
): InstanceVersion => {
  const { compiled, problems } = compileBlueprint(blueprintFixture(change));
  if (!compiled) throw new Error(JSON.stringify(problems));
  const given = { message: 'hi', replicas: 1, ratio: 1, storageGi: 1, settings: {}, ...parameters };
  return { blueprint: compiled, parameters: given, suspend, deletionPolicy: 'Delete' };
};
const effects = (before: InstanceVersion, after: InstanceVersion) =>
  Object.fromEntries(planUpdate(names, before, after).map(({ child, effect }) => [child, effect]));
const UNCHANGED = {
  'ConfigMap/site-config': 'unchanged',
  'Secret/site-credentials': 'unchanged',
  'Service/site-service': 'unchanged',
  'Deployment/site-web': 'unchanged',
};
const node = (spec: BlueprintSpec, id: string) => {
  const found = spec.nodes.find((item) => item.id === id);
  if (!found) throw new Error(`no node ${id}`);
  return found;
};

describe('the plan of a change', () => {
  test('says of the same order that nothing changes, whatever is read from other children', () => {
    expect(effects(order(), order())).toEqual(UNCHANGED);
  });

  test.each<[string, InstanceVersion, object]>([
    ['a text', order({ message: 'ho' }), { 'ConfigMap/site-config': 'inPlace' }],
    ['replicas', order({ replicas: 2 }), { 'Deployment/site-web': 'inPlace' }],
    ['a pause', order({}, undefined, true), { 'Deployment/site-web': 'inPlace' }],
    [
      'an image',
      order({}, (spec) => {
        const { containers } = (
          node(spec, 'web').manifest as {
            spec: { template: { spec: { containers: [{ image: string }] } } };
          }
        ).spec.template.spec;
        containers[0].image = 'web:2';
      }),
      { 'Deployment/site-web': 'restart' },
    ],
    [
      'a node less',
      order({}, (spec) => {
        spec.nodes = spec.nodes.filter(({ id }) => id !== 'config');
      }),
      { 'ConfigMap/site-config': 'remove' },
    ],
    [
      'a node more',
      order({}, (spec) => {
        spec.nodes.push({ id: 'more', manifest: { apiVersion: 'v1', kind: 'ConfigMap' } });
      }),
      { 'ConfigMap/site-more': 'create' },
    ],
  ])('of %s', (_, after, changed) => {
    expect(effects(order(), after)).toEqual({ ...UNCHANGED, ...changed });
  });

  test('tells the children of a forEach one by one', () => {
    const shards = (settings: object) =>
      order({ settings }, (spec) => {
        spec.nodes.push({
          id: 'shard',
          forEach: '${params.settings}',
          manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { value: '${each.value}' } },
        });
      });
    expect(effects(shards({ a: '1', b: '1' }), shards({ b: '2', c: '1' }))).toEqual({
      ...UNCHANGED,
      'ConfigMap/site-shard-a': 'remove',
      'ConfigMap/site-shard-b': 'inPlace',
      'ConfigMap/site-shard-c': 'create',
    });
  });

  test('marks what only the cluster can tell: a replaced Service has another address', () => {
    const headless = order({}, (spec) => {
      node(spec, 'service').onImmutable = 'Replace';
      Object.assign(node(spec, 'service').manifest.spec as object, { clusterIP: 'None' });
    });
    const plan = planUpdate(names, order(), headless);
    expect(plan.find(({ node: id }) => id === 'service')).toMatchObject({
      effect: 'replace',
      fields: ['/spec/clusterIP'],
      unknown: [],
    });
    const address = '/spec/template/spec/containers/0/env/0/value';
    expect(plan.find(({ node: id }) => id === 'web')).toMatchObject({
      effect: 'restart',
      fields: [address],
      unknown: [address],
    });
  });

  test('says what goes with a child that is removed, unless it stays', () => {
    const without = order({}, (spec) => {
      spec.nodes = spec.nodes.filter(({ id }) => id !== 'credentials');
      delete spec.outputs?.['password'];
    });
    const removed = (after: InstanceVersion) =>
      planUpdate(names, order(), after).find(({ effect }) => effect === 'remove');
    expect(removed(without)).toMatchObject({ child: 'Secret/site-credentials', loses: 'the values in it' });
    expect(removed({ ...without, deletionPolicy: 'Retain' })).not.toHaveProperty('loses');
  });

  test('says why something will not be done', () => {
    const typed = order({}, (spec) =>
      Object.assign(node(spec, 'credentials').manifest, { type: 'my.org/t' }),
    );
    expect(planUpdate(names, order(), typed)).toContainEqual(
      expect.objectContaining({ effect: 'impossible', refusal: expect.stringContaining('/type') }),
    );
  });

  test('tells all fields of a child, those first that make its pods anew', () => {
    const after = order({ replicas: 2 }, (spec) => {
      const { template } = node(spec, 'web').manifest.spec as { template: { spec: object } };
      Object.assign(template.spec, { terminationGracePeriodSeconds: '${params.replicas}' });
    });
    const web = planUpdate(names, order(), after).find(({ node: id }) => id === 'web');
    expect(web).toMatchObject({
      effect: 'restart',
      fields: ['/spec/template/spec/terminationGracePeriodSeconds', '/spec/replicas'],
    });
  });

  test('of another version touches each child’s label and restarts nothing for that', () => {
    const next = order({}, (spec) => {
      spec.version = '1.0.1';
    });
    expect(new Set(Object.values(effects(order(), next)))).toEqual(new Set(['inPlace']));
  });
});
