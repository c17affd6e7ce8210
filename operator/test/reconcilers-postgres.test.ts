import { LABELS } from '@felucca/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ClusterError } from '../src/reconcilers/cluster.ts';
import { conditionOf, Driver, example } from './reconcile-driver.ts';

// A product with a secret, a volume and an order of deletion, step by step.

let driver: Driver;
let namespace: string;
const postgres = { blueprintRef: { name: 'postgres', version: '1.0.0' } };

beforeAll(async () => {
  driver = await Driver.start('reconcilers-postgres', 'kwok');
  namespace = await driver.prepare('acme', example('blueprint-postgres'));
});
afterAll(() => driver?.stop());

const read = (apiVersion: string, kind: string, name: string) =>
  driver.api.read({ apiVersion, kind, namespace, name });
const patch = (name: string, spec: object) => driver.patch(namespace, name, spec);
const order = (name: string, more: object = {}) =>
  driver.order(namespace, name, { ...postgres, parameters: { size: 'small', storageGi: 1 }, ...more });
const password = async (name: string) =>
  ((await read('v1', 'Secret', `${name}-credentials`))?.data as Record<string, string> | undefined)?.password;

test('gets a password once, a volume, and outputs without the secret', async () => {
  await order('main');
  const instance = await driver.ready(namespace, 'main');
  const generated = await password('main');
  expect(Buffer.from(generated ?? '', 'base64').toString()).toMatch(/^[A-Za-z2-9]{32}$/);
  expect(instance.status?.outputs).toMatchObject({
    port: { value: 5432 },
    username: { value: 'app' },
    password: { secretRef: { name: 'main-credentials', key: 'password' } },
  });
  expect(JSON.stringify(instance)).not.toContain(Buffer.from(generated ?? '', 'base64').toString());
  expect(await driver.settledWrites(namespace, 'main')).toEqual([]);
  driver.restart();
  await driver.step(namespace, 'main');
  expect(driver.api.writes).toEqual([]);
  await patch('main', { parameters: { size: 'medium' } });
  await driver.until(
    namespace,
    'main',
    'the new size',
    (it) => it?.status?.observedGeneration === it?.metadata.generation,
  );
  await driver.ready(namespace, 'main');
  expect(await password('main')).toBe(generated);
});

test('is Ready however often it is looked at before a status tells of its Secret', async () => {
  driver.patienceMs = 3_600_000;
  driver.restart();
  const before = driver.metrics.throttled;
  await order('patient');
  for (let step = 0; step < 10; step += 1) await driver.step(namespace, 'patient');
  await driver.ready(namespace, 'patient');
  expect(driver.metrics.throttled).toBe(before);
  driver.patienceMs = 0;
  driver.restart();
});

test('refuses to change an immutable parameter and says what it is', async () => {
  await patch('main', { parameters: { storageGi: 2 } });
  await driver.step(namespace, 'main');
  expect(conditionOf(await driver.instance(namespace, 'main'), 'Stalled')).toMatchObject({
    reason: 'ParametersInvalid',
    message: expect.stringMatching(/\/storageGi cannot change.*it is 1/),
  });
  await patch('main', { parameters: { storageGi: 1 } });
  await driver.ready(namespace, 'main');
});

test('removes a node that is not wanted any more, after a look at the real object', async () => {
  expect(await read('networking.k8s.io/v1', 'NetworkPolicy', 'main-access')).toBeDefined();
  await patch('main', { parameters: { access: 'organization' } });
  await driver.until(
    namespace,
    'main',
    'the policy is gone',
    (it) => it?.status?.inventory?.every((entry) => entry.node !== 'access') === true,
  );
  expect(await read('networking.k8s.io/v1', 'NetworkPolicy', 'main-access')).toBeUndefined();
});

test('does not replace a lost password without a word, and makes a new one when it is told to', async () => {
  const before = await password('main');
  const lose = () => driver.cluster.kubectl(['delete', 'secret', 'main-credentials', '-n', namespace]);
  const lost = () =>
    driver.until(
      namespace,
      'main',
      'the loss is told',
      (it) => conditionOf(it, 'Stalled')?.reason === 'GeneratedValueLost',
    );
  const kept = await read('v1', 'Secret', 'main-credentials');
  await lose();
  const instance = await lost();
  expect(await password('main')).toBeUndefined();
  expect(conditionOf(instance, 'Ready')).toMatchObject({
    status: 'False',
    message: expect.stringMatching(/password of Secret\/main-credentials .*backup.*felucca\.dev\/regenerate/),
  });
  const { resourceVersion: _, uid: __, managedFields: ___, ...metadata } = kept?.metadata ?? {};
  await driver.apply({ ...kept, metadata });
  await driver.ready(namespace, 'main');
  expect(await password('main')).toBe(before);

  await driver.cluster.kubectl([
    ...['patch', 'secret', 'main-credentials', '-n', namespace, '--type=json'],
    ...['-p', '[{"op":"remove","path":"/data/password"}]'],
  ]);
  await lost();
  const annotation = 'felucca.dev/regenerate=main-credentials';
  await driver.cluster.kubectl(['annotate', 'instance', 'main', '-n', namespace, annotation]);
  const healed = await driver.ready(namespace, 'main');
  expect(await password('main')).toMatch(/^[A-Za-z0-9+/]{43}=$/);
  expect(await password('main')).not.toBe(before);
  expect(healed.metadata.annotations).not.toHaveProperty(['felucca.dev/regenerate']);
});

test('keeps the permission to replace a lost password until there is a new one, and ends no newer permission', async () => {
  const { kubectl } = driver.cluster;
  const permit = (secret: string) =>
    kubectl([
      'annotate',
      'instance',
      'main',
      '-n',
      namespace,
      '--overwrite',
      `felucca.dev/regenerate=${secret}`,
    ]);
  const permitted = async () =>
    (await driver.instance(namespace, 'main'))?.metadata.annotations?.['felucca.dev/regenerate'];
  await kubectl(['delete', 'secret', 'main-credentials', '-n', namespace]);
  await permit('main-credentials');
  driver.api.beforeWrite = (what) => {
    if (what.endsWith('/secrets/main-credentials')) throw new ClusterError(403, 'no Secrets today');
  };
  await driver.step(namespace, 'main');
  const refused = await driver.instance(namespace, 'main');
  expect(conditionOf(refused, 'Stalled')).toMatchObject({ reason: 'ApplyRejected' });
  expect(await permitted()).toBe('main-credentials');

  driver.api.beforeWrite = async (what) => {
    if (what.endsWith('/secrets/main-credentials')) await permit('main-another');
  };
  await driver.step(namespace, 'main');
  expect(await password('main')).toMatch(/^[A-Za-z0-9+/]{43}=$/);
  expect(await permitted()).toBe('main-another');

  driver.api.beforeWrite = () => undefined;
  await permit('main-credentials');
  await driver.ready(namespace, 'main');
  expect(await permitted()).toBeUndefined();
});

test('is deleted from the workload down, and takes its volume along', async () => {
  driver.api.writes.length = 0;
  await driver.cluster.kubectl(['delete', 'instance', 'main', '-n', namespace, '--wait=false']);
  await driver.until(namespace, 'main', 'gone', (instance) => instance === undefined);
  const order = driver.api.writes
    .filter((write) => write.startsWith('DELETE'))
    .map((write) => write.split('/').at(-1));
  expect(order[0]).toBe('main-postgres');
  expect(order.at(-1)).toBe('data-main-postgres-0');
  expect(await password('main')).toBeUndefined();
  await volumesUntil((names) => !names.includes('data-main-postgres-0'));
});

test('leaves its volume and its password behind under Retain, and takes them up again under the same name', async () => {
  await order('keep', { deletionPolicy: 'Retain' });
  await driver.ready(namespace, 'keep');
  const password = async () => (await read('v1', 'Secret', 'keep-credentials'))?.['data'];
  const before = await password();
  await driver.cluster.kubectl(['delete', 'instance', 'keep', '-n', namespace, '--wait=false']);
  await driver.until(namespace, 'keep', 'gone', (instance) => instance === undefined);
  const claim = await read('v1', 'PersistentVolumeClaim', 'data-keep-postgres-0');
  expect(claim?.metadata.deletionTimestamp).toBeUndefined();
  expect(claim).toBeDefined();
  await order('keep', {});
  const { metadata } = await driver.ready(namespace, 'keep');
  const after = await read('v1', 'PersistentVolumeClaim', 'data-keep-postgres-0');
  expect(after?.metadata.uid).toBe(claim?.metadata.uid);
  expect(await password()).toEqual(before);
  expect(after?.metadata.labels?.[LABELS.instanceUid], 'it is of the present Instance').toBe(metadata.uid);
  // Both go with it, or the next password would not open the volume.
  await driver.cluster.kubectl(['delete', 'instance', 'keep', '-n', namespace, '--wait=false']);
  await driver.until(namespace, 'keep', 'gone', (instance) => instance === undefined);
  await volumesUntil((names) => !names.includes('data-keep-postgres-0'));
  expect(await password()).toBeUndefined();
});

test('is taken up whole after Orphan, volume and all, and what it does not use stays as it was left', async () => {
  await order('whole', { deletionPolicy: 'Orphan' });
  await driver.ready(namespace, 'whole');
  const set = () => read('apps/v1', 'StatefulSet', 'whole-postgres');
  const before = await set();
  await driver.cluster.kubectl(['delete', 'instance', 'whole', '-n', namespace, '--wait=false']);
  await driver.until(namespace, 'whole', 'gone', (instance) => instance === undefined);
  const used = await read('v1', 'PersistentVolumeClaim', 'data-whole-postgres-0');
  const { labels } = used!.metadata;
  await driver.cluster.kubectl(['create', '-f', '-'], {
    stdin: JSON.stringify({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'data-whole-postgres-1', namespace, labels },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    }),
  });
  await order('whole', {});
  const { metadata } = await driver.ready(namespace, 'whole');
  expect((await set())?.metadata.uid).toBe(before?.metadata.uid);
  const owner = async (ordinal: number) =>
    (await read('v1', 'PersistentVolumeClaim', `data-whole-postgres-${ordinal}`))?.metadata.labels?.[
      LABELS.instanceUid
    ];
  expect(await owner(0)).toBe(metadata.uid);
  expect(await owner(1)).toBe(labels?.[LABELS.instanceUid]);
  expect(await driver.settledWrites(namespace, 'whole')).toEqual([]);
});

async function volumesUntil(condition: (names: string[]) => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const claims = await driver.api.list('v1', 'PersistentVolumeClaim', namespace, '');
    const names = claims.map((claim) => claim.metadata.name);
    if (condition(names)) return;
    if (performance.now() > deadline) throw new Error(`volumes left: ${names.join(', ')}`);
  }
}

test('says that a volume is being deleted while all still looks well, and keeps that on record', async () => {
  await order('store');
  await driver.ready(namespace, 'store');
  const claim = 'data-store-postgres-0';
  const told = (it: Parameters<typeof conditionOf>[0]) => conditionOf(it, 'DriftDetected');
  // Without the controller that would keep it until no pod uses it.
  const finalizers = (list: string[]) =>
    driver.cluster.kubectl([
      ...['patch', 'pvc', claim, '-n', namespace, '--type=merge'],
      ...['-p', JSON.stringify({ metadata: { finalizers: list } })],
    ]);
  await finalizers(['example.test/in-use']);
  await driver.cluster.kubectl(['delete', 'pvc', claim, '-n', namespace, '--wait=false']);
  const going = await driver.until(
    namespace,
    'store',
    'it is told',
    (it) => told(it)?.reason === 'VolumeGoing',
  );
  expect(told(going)).toMatchObject({
    status: 'True',
    message: expect.stringMatching(
      /^PersistentVolumeClaim\/data-store-postgres-0 is being deleted since 20.*copy the data now$/,
    ),
  });
  expect(conditionOf(going, 'Ready')).toMatchObject({ status: 'True' });
  expect(going.status?.drift).toMatchObject([
    { object: `PersistentVolumeClaim/${claim}`, path: '/metadata/deletionTimestamp', action: 'reported' },
  ]);
  const { driftCount } = going.status!;
  expect(await driver.settledWrites(namespace, 'store')).toEqual([]);
  await finalizers([]);
  const over = await driver.until(
    namespace,
    'store',
    'the claim is another one',
    (it) => told(it)?.status === 'False',
  );
  expect(told(over)?.message).toMatch(
    /1 difference so far, the last in PersistentVolumeClaim\/data-store-postgres-0/,
  );
  expect(over.status?.driftCount).toBe(driftCount);
});
