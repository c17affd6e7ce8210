import { describe, expect, test } from 'vitest';
import { blueprintFixture } from '../blueprint/blueprint-fixture.ts';
import { compileBlueprint } from '../blueprint/compile.ts';
import type { BlueprintSpec } from '../resources/blueprint.ts';
import type { KubeObject } from '../resources/object.ts';
import { type ActualChildren, planUpdate } from './plan-update.ts';
import { type InstanceVersion, Preview } from './preview.ts';

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

describe('the plan of a change of what a cluster has', () => {
  const ours = { ...names, uid: 'i' };
  const headless =
    (onImmutable?: 'Replace') =>
    (spec: BlueprintSpec): void => {
      if (onImmutable) node(spec, 'service').onImmutable = onImmutable;
      Object.assign(node(spec, 'service').manifest.spec as object, { clusterIP: 'None' });
    };
  /** All children as an order has them, but for the Service, which has an address. */
  const actual = (of: InstanceVersion, more: Record<string, KubeObject | undefined> = {}): ActualChildren => {
    const preview = new Preview(of, ours);
    const live = preview.children.map((child): [string, KubeObject] => {
      const object = preview.object(child, () => false) as KubeObject<object>;
      if (object.kind === 'Service') object.spec = { ...object.spec, clusterIP: '10.0.0.1' };
      return [`${object.kind}/${child.name}`, object];
    });
    const inventory = preview.children.map(({ compiled, name }) => {
      const {
        kind,
        apiVersion,
        wave,
        node: { id },
      } = compiled;
      return { kind, apiVersion, wave, name, node: id, uid: name, onDelete: 'Delete' as const };
    });
    return { live: new Map([...live, ...Object.entries(more)]), inventory };
  };
  const planned = (before: InstanceVersion | undefined, after: InstanceVersion, on: ActualChildren) =>
    Object.fromEntries(planUpdate(ours, before, after, on).map(({ child, ...change }) => [child, change]));
  const service = 'Service/site-service';

  test('says that a child is made anew whose change was refused before', () => {
    const after = order({}, (spec) => {
      spec.version = '1.2.0';
      headless('Replace')(spec);
    });
    const { [service]: change } = planned(order({}, headless()), after, actual(order()));
    expect(change).toMatchObject({ effect: 'replace', fields: ['/spec/clusterIP'] });
    expect(change).not.toHaveProperty('refusal');
  });

  test('lets what was refused be taken back', () => {
    expect(planned(order({}, headless()), order(), actual(order()))).toMatchObject({
      [service]: { effect: 'unchanged', fields: [] },
    });
  });

  test('says nothing of a refusal that the change does not touch', () => {
    const after = order({ message: 'ho' }, headless());
    expect(planned(order({}, headless()), after, actual(order()))).toMatchObject({
      [service]: { effect: 'unchanged' },
      'ConfigMap/site-config': { effect: 'inPlace' },
    });
  });

  test('needs no former order: what is there, and the inventory, tell what changes and what goes', () => {
    const { live, inventory } = actual(order());
    const old = { ...inventory[0]!, kind: 'Secret', name: 'site-old', node: 'old' };
    const on = { live, inventory: [...inventory, old] };
    expect(planned(undefined, order({ replicas: 2, message: 'ho' }), on)).toMatchObject({
      [service]: { effect: 'unchanged' },
      'ConfigMap/site-config': { effect: 'inPlace', fields: ['/data/m'] },
      'Secret/site-credentials': { effect: 'unchanged' },
      'Deployment/site-web': { effect: 'inPlace', fields: ['/spec/replicas'] },
      'Secret/site-old': { effect: 'remove', loses: 'the values in it' },
    });
  });

  test('makes what is not there, and knows nothing of what is hidden', () => {
    const on = actual(order(), { [service]: undefined });
    const hidden = new Map([...on.live].filter(([name]) => !name.startsWith('Secret')));
    expect(planned(order(), order(), { ...on, live: hidden })).toMatchObject({
      [service]: { effect: 'create' },
      'Secret/site-credentials': { effect: 'unchanged' },
    });
    expect(planned(undefined, order(), { ...on, live: hidden })).toMatchObject({
      'Secret/site-credentials': { effect: 'inPlace' },
    });
  });
});
