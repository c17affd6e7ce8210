import { changeOf, type InstanceObject, type KubeObject, liveWithDesired } from '@felucca/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClusterError, LiveObject } from '../src/reconcilers/cluster.ts';
import { conditionOf, Driver } from './reconcile-driver.ts';

// Other parameters, another version and the way back, on a real API server with its controllers.

let driver: Driver;
let namespace: string;
const product = { blueprintRef: { name: 'product', version: '1.0.0' } };

beforeAll(async () => {
  driver = await Driver.start('reconcilers-updates', 'kwok');
  namespace = await driver.prepare('acme', blueprint('1.0.0'), blueprint('2.0.0'), blueprint('3.0.0'));
});
afterAll(() => driver?.stop());

const pods = (restartPolicy: 'Always' | 'Never') => ({
  spec: {
    restartPolicy,
    nodeSelector: { 'kubernetes.io/os': '${params.runs ? "linux" : "none"}' },
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'main',
        image: '${params.image}',
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
    ],
  },
});

/** 2.0.0 brings a node and drops one; in 3.0.0 a field is wrong. */
function blueprint(version: string): KubeObject {
  const optional = (id: string) => ({
    id,
    manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { of: version } },
  });
  const params = (properties: object) => ({ type: 'object', properties });
  return {
    apiVersion: 'felucca.dev/v1alpha1',
    kind: 'Blueprint',
    metadata: { name: `product-${version.replaceAll('.', '-')}` },
    spec: {
      name: 'product',
      version,
      parameters: params({
        text: { type: 'string', default: 'a', maxLength: 20 },
        sealed: { type: 'string', default: 'a', maxLength: 20 },
        image: { type: 'string', default: 'product:1', maxLength: 40 },
        service: { type: 'string', default: 'a', maxLength: 20 },
        runs: { type: 'boolean', default: true },
        labels: {
          type: 'object',
          default: {},
          maxProperties: 3,
          additionalProperties: { type: 'string', maxLength: 9 },
        },
      }),
      nodes: [
        {
          id: 'config',
          onImmutable: 'Replace',
          manifest: {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            immutable: true,
            data: { text: '${params.text}' },
          },
        },
        {
          id: 'sealed',
          manifest: {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            immutable: true,
            data: { text: '${params.sealed}' },
          },
        },
        {
          id: 'task',
          onImmutable: 'Replace',
          manifest: { apiVersion: 'batch/v1', kind: 'Job', spec: { template: pods('Never') } },
        },
        {
          id: 'set',
          manifest: {
            apiVersion: 'apps/v1',
            kind: 'StatefulSet',
            spec: {
              serviceName: '${params.service}',
              replicas: 1,
              template: pods('Always'),
              ...(version === '3.0.0' ? { replica: 2 } : {}),
            },
          },
        },
        { id: 'labels', manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: '${params.labels}' } },
        ...(version === '1.0.0' ? [optional('old')] : [optional('new')]),
      ],
    } as object,
  };
}

const KINDS = {
  config: ['v1', 'ConfigMap'],
  sealed: ['v1', 'ConfigMap'],
  labels: ['v1', 'ConfigMap'],
  old: ['v1', 'ConfigMap'],
  new: ['v1', 'ConfigMap'],
  task: ['batch/v1', 'Job'],
  set: ['apps/v1', 'StatefulSet'],
} as const;
type Node = keyof typeof KINDS;
const read = (name: string, node: Node): Promise<LiveObject | undefined> => {
  const [apiVersion, kind] = KINDS[node];
  return driver.api.read({ apiVersion, kind, namespace, name: `${name}-${node}` });
};
const uidOf = async (name: string, node: Node) => (await read(name, node))?.metadata.uid;
const change = (name: string, parameters: object) => driver.patch(namespace, name, { parameters });
const stalled = async (name: string) => conditionOf(await driver.instance(namespace, name), 'Stalled');
const isCurrent = (instance: InstanceObject | undefined): boolean =>
  conditionOf(instance, 'Ready')?.status === 'True' &&
  instance?.status?.observedGeneration === instance?.metadata.generation;
const settled = (name: string) => driver.until(namespace, name, 'Ready', isCurrent, 60_000);
const order = async (name: string) => {
  await driver.order(namespace, name, product);
  return settled(name);
};
/** Every child under the UID that it has. */
const expectTrueInventory = async (name: string) => {
  const inventory = (await driver.instance(namespace, name))?.status?.inventory ?? [];
  for (const { node, uid } of inventory) expect([node, uid]).toEqual([node, await uidOf(name, node as Node)]);
  expect(inventory.length).toBeGreaterThan(0);
};

test('what becomes empty is empty, and nothing is written any more', async () => {
  await driver.order(namespace, 'emptied', { ...product, parameters: { labels: { a: '1' } } });
  await settled('emptied');
  expect((await read('emptied', 'labels'))?.['data']).toEqual({ a: '1' });
  await driver.patch(namespace, 'emptied', { parameters: { labels: { a: null } } });
  await settled('emptied');
  expect((await read('emptied', 'labels'))?.['data'] ?? {}).toEqual({});
  expect(await driver.settledWrites(namespace, 'emptied')).toEqual([]);
});

describe('what Kubernetes fixes', () => {
  const labels = { app: 'x' };
  const template = (image: string) => ({
    metadata: { labels },
    spec: { restartPolicy: 'Never', containers: [{ name: 'a', image }] },
  });
  const running = (image: string) => ({
    ...template(image),
    spec: { containers: [{ name: 'a', image }] },
  });
  const set = (more: object = {}) => ({
    spec: {
      selector: { matchLabels: labels },
      serviceName: 'a',
      replicas: 0,
      template: running('a:1'),
      ...more,
    },
  });
  const job = (more: object = {}) => ({ spec: { suspend: false, template: template('a:1'), ...more } });
  const service = (more: object = {}) => ({ spec: { selector: labels, ports: [{ port: 80 }], ...more } });
  const claim = (more: object = {}) => ({
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...more },
  });

  test.each<[string, string, string, object, object]>([
    ['a StatefulSet’s service', 'apps/v1', 'StatefulSet', set(), set({ serviceName: 'b' })],
    ['a StatefulSet’s order', 'apps/v1', 'StatefulSet', set(), set({ podManagementPolicy: 'Parallel' })],
    [
      'a StatefulSet’s volumes',
      'apps/v1',
      'StatefulSet',
      set(),
      set({ volumeClaimTemplates: [{ metadata: { name: 'd' }, ...claim() }] }),
    ],
    ['a StatefulSet’s history', 'apps/v1', 'StatefulSet', set(), set({ revisionHistoryLimit: 3 })],
    ['a StatefulSet’s ordinals', 'apps/v1', 'StatefulSet', set(), set({ ordinals: { start: 1 } })],
    [
      'who keeps a StatefulSet’s volumes',
      'apps/v1',
      'StatefulSet',
      set(),
      set({ persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Delete', whenScaled: 'Retain' } }),
    ],
    ['a StatefulSet’s image', 'apps/v1', 'StatefulSet', set(), set({ template: running('a:2') })],
    ['a Job’s image', 'batch/v1', 'Job', job(), job({ template: template('a:2') })],
    ['a Job’s parallelism', 'batch/v1', 'Job', job(), job({ parallelism: 2 })],
    [
      'a Job’s mode',
      'batch/v1',
      'Job',
      job({ completions: 1 }),
      job({ completions: 1, completionMode: 'Indexed' }),
    ],
    ['a Service without address', 'v1', 'Service', service(), service({ clusterIP: 'None' })],
    ['a Service’s ports', 'v1', 'Service', service(), service({ ports: [{ port: 81 }] })],
    ['a Secret’s type', 'v1', 'Secret', { data: { a: 'eA==' } }, { type: 'my.org/x', data: { a: 'eA==' } }],
    [
      'sealed data',
      'v1',
      'ConfigMap',
      { immutable: true, data: { a: '1' } },
      { immutable: true, data: { a: '2' } },
    ],
    [
      'a claim’s class',
      'v1',
      'PersistentVolumeClaim',
      claim({ storageClassName: 'a' }),
      claim({ storageClassName: 'b' }),
    ],
  ])(
    '%s: the API server refuses exactly what we call replace or impossible',
    async (_, apiVersion, kind, before, after) => {
      const metadata = { name: `fixed-${Math.random().toString(36).slice(2)}`, namespace };
      const apply = (body: object) =>
        driver.api.apply({ apiVersion, kind, metadata, ...body }, { manager: 'felucca-operator' });
      const live = await apply(before);
      const wanted = { apiVersion, kind, metadata, ...after };
      const { effect } = changeOf({ id: 'x', onImmutable: 'Replace' }, live, wanted, liveWithDesired);
      const answer = await apply(after).then(
        () => 'accepted',
        (error: ClusterError) => error.status,
      );
      expect(answer).toBe(['replace', 'impossible'].includes(effect) ? 422 : 'accepted');
    },
  );
});

describe('a change that a child can’t take', () => {
  test('makes the child anew where its Blueprint says so, which is no drift', async () => {
    await order('fresh');
    const before = { config: await uidOf('fresh', 'config'), task: await uidOf('fresh', 'task') };
    driver.changes.length = 0;
    await change('fresh', { text: 'b', image: 'product:2' });
    const instance = await settled('fresh');
    expect((await read('fresh', 'config'))?.data).toEqual({ text: 'b' });
    expect(await uidOf('fresh', 'config')).not.toBe(before.config);
    expect(await uidOf('fresh', 'task')).not.toBe(before.task);
    expect(driver.changes.toSorted()).toEqual(
      ['create', 'create', 'inPlace', 'replace', 'replace', 'restart'].filter(
        (effect) => effect !== 'inPlace',
      ),
    );
    expect(driver.events.filter((event) => event.includes('fresh ChildReplaced'))).toHaveLength(2);
    expect(instance.status?.drift).toBeUndefined();
    await expectTrueInventory('fresh');
    expect(await driver.settledWrites(namespace, 'fresh')).toEqual([]);
  });

  test('is refused for that child alone, with field and remedy, until the old value is back', async () => {
    await order('partly');
    const uid = await uidOf('partly', 'set');
    await change('partly', { service: 'b', text: 'b' });
    await driver.step(namespace, 'partly');
    await driver.step(namespace, 'partly');
    expect(await stalled('partly')).toMatchObject({
      reason: 'ChangeImpossible',
      message: expect.stringMatching(
        /StatefulSet\/partly-set: \/spec\/serviceName .* set the old value again/,
      ),
    });
    expect((await read('partly', 'config'))?.data).toEqual({ text: 'b' });
    expect(await uidOf('partly', 'set')).toBe(uid);
    await change('partly', { service: 'a', text: 'b', sealed: 'b' });
    await driver.step(namespace, 'partly');
    expect(await stalled('partly')).toMatchObject({
      reason: 'ReplaceRefused',
      message: expect.stringContaining('ConfigMap/partly-sealed'),
    });
    await change('partly', { service: 'a', text: 'b', sealed: 'a' });
    await settled('partly');
    expect(await stalled('partly')).toBeUndefined();
  });

  test('survives a kill at any write of a replacement', async () => {
    for (let crashAt = 1; crashAt <= 7; crashAt += 1) {
      const name = `kill-${crashAt}`;
      await order(name);
      await change(name, { text: 'b', image: 'product:2' });
      await driver.dieAt(crashAt, namespace, name);
      const instance = await settled(name);
      expect(instance.status?.drift).toBeUndefined();
      expect((await read(name, 'config'))?.data).toEqual({ text: 'b' });
      await expectTrueInventory(name);
    }
  });

  test('and a kill in the middle of it leaves nothing behind when the Instance is deleted then', async () => {
    for (let crashAt = 2; crashAt <= 4; crashAt += 1) {
      const name = `drop-${crashAt}`;
      await order(name);
      await change(name, { text: 'b', image: 'product:2' });
      await driver.dieAt(crashAt, namespace, name);
      await driver.cluster.kubectl(['delete', 'instance', name, '-n', namespace, '--wait=false']);
      await driver.until(namespace, name, 'gone', (instance) => instance === undefined, 60_000);
      for (const node of ['config', 'sealed', 'task', 'set', 'old'] as const)
        expect(await read(name, node)).toBeUndefined();
    }
  });
});

describe('another version', () => {
  const version = (name: string, to: string) =>
    driver.patch(namespace, name, { blueprintRef: { name: 'product', version: to } });

  test('brings its nodes and takes the former ones away, and so does the way back', async () => {
    await order('up');
    await version('up', '2.0.0');
    await driver.until(namespace, 'up', 'old is gone', (it) => isCurrent(it) && !hasNode(it, 'old'));
    expect([await uidOf('up', 'old'), await uidOf('up', 'new')]).toEqual([undefined, expect.any(String)]);
    await version('up', '1.0.0');
    await driver.until(namespace, 'up', 'new is gone', (it) => isCurrent(it) && !hasNode(it, 'new'));
    expect([await uidOf('up', 'old'), await uidOf('up', 'new')]).toEqual([expect.any(String), undefined]);
    await expectTrueInventory('up');
  });

  test('that is wrong takes nothing away, and never keeps the right one from being applied at once', async () => {
    await order('bad');
    await version('bad', '3.0.0');
    for (let step = 0; step < 3; step += 1) await driver.step(namespace, 'bad');
    expect(await stalled('bad')).toMatchObject({ reason: 'ApplyRejected' });
    // What would take its place was refused.
    expect(await uidOf('bad', 'old')).toBeDefined();
    await version('bad', '2.0.0');
    await driver.step(namespace, 'bad');
    expect(await uidOf('bad', 'old')).toBeUndefined();
    await settled('bad');
  });
});

test('what a new version does not have goes, although a deletion would leave it', async () => {
  await driver.order(namespace, 'lives-on', { ...product, deletionPolicy: 'Orphan' });
  await settled('lives-on');
  expect(await uidOf('lives-on', 'old')).toBeDefined();
  await driver.patch(namespace, 'lives-on', { blueprintRef: { name: 'product', version: '2.0.0' } });
  await settled('lives-on');
  expect(await uidOf('lives-on', 'old')).toBeUndefined();
});

test('a child of an earlier version that does not go is named, and what holds it', async () => {
  await order('held-old');
  const { kind = '', metadata } = (await read('held-old', 'old'))!;
  const holdBy = (finalizers: string[]) =>
    driver.cluster.kubectl(
      ['patch', kind.toLowerCase(), metadata.name, '-n', namespace, '--type=merge'].concat([
        '-p',
        JSON.stringify({ metadata: { finalizers } }),
      ]),
    );
  await holdBy(['acme.io/hold']);
  driver.now = () => new Date(Date.now() + 60_000);
  await driver.patch(namespace, 'held-old', { blueprintRef: { name: 'product', version: '2.0.0' } });
  const told = await driver.until(
    namespace,
    'held-old',
    'it is told',
    (it) => conditionOf(it, 'DeletionBlocked')?.status === 'True' && isCurrent(it),
    60_000,
  );
  expect(conditionOf(told, 'DeletionBlocked')?.message).toMatch(/acme\.io\/hold/);
  await holdBy([]);
  await driver.until(namespace, 'held-old', 'over', (it) => !conditionOf(it, 'DeletionBlocked'), 60_000);
  driver.now = () => new Date();
});

describe('a change that is taken back before it is made', () => {
  test.each<[string, Node, object, object]>([
    ['to a version without a node', 'old', { blueprintRef: { name: 'product', version: '2.0.0' } }, product],
    ['of a fixed field', 'config', { parameters: { text: 'b' } }, { parameters: { text: 'a' } }],
  ])('%s destroys nothing, although only the API server knows of it yet', async (_, node, change, back) => {
    const name = `taken-back-${node}`;
    await order(name);
    const uid = await uidOf(name, node);
    await driver.patch(namespace, name, change);
    let isBack = false;
    driver.api.beforeWrite = async () => {
      if (isBack) return;
      isBack = true;
      await driver.patch(namespace, name, back);
    };
    expect(await driver.step(namespace, name)).toMatchObject({ kind: 'retry' });
    driver.api.beforeWrite = () => undefined;
    expect(isBack).toBe(true);
    expect(await uidOf(name, node)).toBe(uid);
    await settled(name);
    expect(await uidOf(name, node)).toBe(uid);
  });
});

describe('a rollout that is broken', () => {
  test('never keeps the correction from its pods, although their StatefulSet would wait for ever', async () => {
    driver.now = () => new Date(Date.now() + 60_000);
    await driver.order(namespace, 'stuck', { ...product, parameters: { runs: false } });
    await driver.until(
      namespace,
      'stuck',
      'the failure is told',
      (it) => conditionOf(it, 'Ready')?.reason === 'ChildFailed',
    );
    const pod = () => driver.api.read({ apiVersion: 'v1', kind: 'Pod', namespace, name: 'stuck-set-0' });
    const before = (await pod())?.metadata.uid;
    await driver.settledWrites(namespace, 'stuck');
    expect((await pod())?.metadata.uid).toBe(before);
    await change('stuck', { runs: true });
    await settled('stuck');
    expect((await pod())?.metadata.uid).not.toBe(before);
    expect(driver.events.filter((event) => event.includes('StuckPodReplaced'))).toHaveLength(1);
    driver.now = () => new Date();
  });
});

const hasNode = (instance: InstanceObject | undefined, node: string): boolean =>
  instance?.status?.inventory?.some((entry) => entry.node === node) === true;
