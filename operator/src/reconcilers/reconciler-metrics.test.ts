import type { KubeObject } from '@felucca/contract';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import type { Store } from '../runtime/store.ts';
import { countObjects } from './reconciler-metrics.ts';

const objectWith = (status?: string, reason = ''): KubeObject<unknown, object> => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name: 'x' },
  ...(status ? { status: { conditions: [{ type: 'Ready', status, reason }] } } : {}),
});

test('objects are counted as they are at each scrape, and a series without any is gone', async () => {
  const registry = new Registry();
  let objects = [
    objectWith('True', 'Ready'),
    objectWith('True', 'Ready'),
    objectWith('False', 'NameConflict'),
    objectWith(),
  ];
  countObjects({ Instance: { list: () => objects } as unknown as Store<never> }, registry);
  const series = async () =>
    Object.fromEntries(
      ((await registry.getSingleMetric('felucca_objects')?.get())?.values ?? []).map(({ labels, value }) => [
        Object.values(labels).join(' '),
        value,
      ]),
    );
  expect(await series()).toEqual({
    'Instance True Ready': 2,
    'Instance False NameConflict': 1,
    'Instance Unknown NotSeenYet': 1,
  });
  objects = [objectWith('True', 'Ready')];
  expect(await series()).toEqual({ 'Instance True Ready': 1 });
});
