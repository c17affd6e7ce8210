import { MAX_CHILDREN } from '@felucca/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { conditionOf, Driver, example } from './reconcile-driver.ts';

let driver: Driver;
let namespace: string;
const pool = { blueprintRef: { name: 'worker-pool', version: '1.0.0' } };

beforeAll(async () => {
  driver = await Driver.start('reconcilers-for-each', 'kwok');
  namespace = await driver.prepare('acme', example('blueprint-worker-pool'));
});
afterAll(() => driver?.stop());

const queues = (...names: string[]) => ({ parameters: { queues: names.map((name) => ({ name })) } });
const deployments = async (instance: string) =>
  (await driver.api.list('apps/v1', 'Deployment', namespace, `felucca.dev/instance=${instance}`))
    .map(({ metadata }) => metadata.name)
    .sort();
const directory = async (instance: string) =>
  (await driver.api.read({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name: `${instance}-directory` }))
    ?.data;

describe('a node with forEach', () => {
  test('becomes one child per item, and what reads it waits for all of them', async () => {
    await driver.order(namespace, 'pool', { ...pool, ...queues('mail', 'images') });
    driver.api.writes.length = 0;
    const instance = await driver.ready(namespace, 'pool');
    expect(await deployments('pool')).toEqual(['pool-worker-images', 'pool-worker-mail']);
    expect(await directory('pool')).toEqual({
      workers: 'images=pool-worker-images\nmail=pool-worker-mail',
    });
    const written = driver.api.writes.map((write) => write.split('/').at(-1));
    expect(written.filter((name) => name === 'pool-directory')).toHaveLength(1);
    expect(instance.status?.inventory).toMatchObject([
      { node: 'worker', key: 'mail', uid: expect.any(String) },
      { node: 'worker', key: 'images', uid: expect.any(String) },
      { node: 'directory' },
    ]);
    expect(instance.status?.outputs).toEqual({ queues: { value: ['mail', 'images'] } });
  });

  test('selects the pods of one item only', async () => {
    const pods = async (key: string) =>
      driver.api.list('v1', 'Pod', namespace, `felucca.dev/node=worker,felucca.dev/key=${key}`);
    expect(await pods('mail')).toHaveLength(1);
    const name = 'pool-worker-mail';
    const live = await driver.api.read({ apiVersion: 'apps/v1', kind: 'Deployment', namespace, name });
    expect(live?.spec).toMatchObject({
      selector: { matchLabels: { 'felucca.dev/instance': 'pool', 'felucca.dev/key': 'mail' } },
    });
  });

  test('writes nothing more when it is settled, nor after a restart', async () => {
    expect(await driver.settledWrites(namespace, 'pool')).toEqual([]);
    driver.restart();
    await driver.step(namespace, 'pool');
    expect(driver.api.writes).toEqual([]);
  });

  test('loses exactly the child whose item is taken away', async () => {
    const uid = async () => {
      const name = 'pool-worker-images';
      const live = await driver.api.read({ apiVersion: 'apps/v1', kind: 'Deployment', namespace, name });
      return live?.metadata.uid;
    };
    const before = await uid();
    await driver.patch(namespace, 'pool', queues('images', 'audio'));
    await driver.until(namespace, 'pool', 'mail is gone and audio is ready', (it) => {
      const nodes = it?.status?.inventory?.map(({ key }) => key);
      return nodes?.includes('mail') === false && conditionOf(it, 'Ready')?.status === 'True';
    });
    expect(await deployments('pool')).toEqual(['pool-worker-audio', 'pool-worker-images']);
    expect(await uid()).toBe(before);
    expect(await directory('pool')).toEqual({
      workers: 'audio=pool-worker-audio\nimages=pool-worker-images',
    });
  });

  test('touches nothing when two items have one key, and says which', async () => {
    await driver.patch(namespace, 'pool', queues('images', 'audio', 'images'));
    driver.api.writes.length = 0;
    await driver.step(namespace, 'pool');
    expect(conditionOf(await driver.instance(namespace, 'pool'), 'Stalled')).toMatchObject({
      reason: 'ParametersInvalid',
      message: expect.stringContaining('key "images" of node "worker" is there twice'),
    });
    expect(await deployments('pool')).toEqual(['pool-worker-audio', 'pool-worker-images']);
    expect(driver.api.writes.every((write) => write.includes('instances'))).toBe(true);
  });

  test('goes with its Instance', async () => {
    await driver.patch(namespace, 'pool', queues('images'));
    await driver.ready(namespace, 'pool');
    await driver.cluster.kubectl(['delete', 'instance', 'pool', '-n', namespace, '--wait=false']);
    await driver.until(namespace, 'pool', 'gone', (instance) => instance === undefined);
    expect(await deployments('pool')).toEqual([]);
  });
});

test('an Instance with as many children as there may be can have all of them replaced', async () => {
  const blueprint = example('blueprint-worker-pool') as unknown as {
    metadata: { name: string };
    spec: { version: string; parameters: object; nodes: object[]; outputs: object };
  };
  blueprint.metadata.name = 'worker-pool-2-0-0';
  blueprint.spec.version = '2.0.0';
  blueprint.spec.parameters = {
    type: 'object',
    properties: { names: { type: 'array', items: { type: 'string' } } },
  };
  const manifest = { apiVersion: 'v1', kind: 'ConfigMap', data: { name: '${each.value}' } };
  blueprint.spec.nodes = [{ id: 'item', forEach: '${params.names}', manifest }];
  blueprint.spec.outputs = {};
  await driver.prepare('acme', blueprint as never);
  const names = (prefix: string) => Array.from({ length: MAX_CHILDREN }, (_, i) => `${prefix}${i}`);
  const of = (prefix: string) => ({ parameters: { names: names(prefix) } });
  await driver.order(namespace, 'wide', {
    blueprintRef: { name: 'worker-pool', version: '2.0.0' },
    ...of('a'),
  });
  await driver.ready(namespace, 'wide');
  await driver.patch(namespace, 'wide', of('b'));
  const instance = await driver.until(
    namespace,
    'wide',
    'all are replaced',
    (it) => it?.status?.inventory?.every(({ key }) => key?.startsWith('b')) === true,
    60_000,
  );
  expect(instance.status?.inventory).toHaveLength(MAX_CHILDREN);
  const left = await driver.api.list('v1', 'ConfigMap', namespace, 'felucca.dev/instance=wide');
  expect(left.map(({ metadata }) => metadata.labels?.['felucca.dev/key']).sort()).toEqual(names('b').sort());
});
