import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ANNOTATIONS, API_VERSION, type InstanceObject, LABELS } from '@felucca/contract';
import { resolveBinary } from '@felucca/dev';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LiveObject } from '../src/reconcilers/cluster.ts';
import { conditionOf, Driver, example } from './reconcile-driver.ts';
import { eventually } from './support/eventually.ts';

// What a deletion waits for, destroys and leaves; and whose an object is. On a real API server with its controllers.

const CHART = new URL('../../helm/felucca-operator', import.meta.url).pathname;
let driver: Driver;
let namespace: string;
const web = { blueprintRef: { name: 'web', version: '1.0.0' } };
const postgres = {
  blueprintRef: { name: 'postgres', version: '1.0.0' },
  parameters: { size: 'small', storageGi: 1 },
};

beforeAll(async () => {
  driver = await Driver.start('reconcilers-deletion', 'kwok');
  namespace = await driver.prepare('acme', example('blueprint-web'), example('blueprint-postgres'));
  await actAsOperator();
});
afterAll(() => driver?.stop());

/** With every right, under the chart's policy for children: both of them say whose an object is. */
async function actAsOperator(): Promise<void> {
  const home = ['-n', 'felucca-system'];
  const policy = ['template', 'felucca', CHART, ...home, '-s', 'templates/admission/children.yaml'];
  const { stdout } = await promisify(execFile)(await resolveBinary('helm'), policy);
  const { kubectl: asAdmin } = driver.cluster;
  await asAdmin(['apply', '-f', '-'], { stdin: stdout });
  await asAdmin(['create', 'namespace', 'felucca-system']);
  await asAdmin(['create', 'serviceaccount', 'felucca-operator', ...home]);
  const account = '--serviceaccount=felucca-system:felucca-operator';
  await asAdmin(['create', 'clusterrolebinding', 'everything', '--clusterrole=cluster-admin', account]);
  const token = (await asAdmin(['create', 'token', 'felucca-operator', ...home])).trim();
  driver.api.actAs(token);
  const unowned = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'unowned', namespace } };
  await eventually('the policy counts', async () => {
    const attempt = ['--token', token, 'create', '--dry-run=server', '-f', '-'];
    const answer = await asAdmin(attempt, { stdin: JSON.stringify(unowned) }).catch(String);
    return answer.includes('that belongs to no Instance');
  });
}

const kubectl = (...args: string[]) => driver.cluster.kubectl([...args, '-n', namespace]);
const read = (apiVersion: string, kind: string, name: string): Promise<LiveObject | undefined> =>
  driver.api.read({ apiVersion, kind, namespace, name });
const service = (name: string) => read('v1', 'Service', `${name}-service`);
const deployment = (name: string) => read('apps/v1', 'Deployment', `${name}-web`);
const order = async (name: string, spec: object = web): Promise<InstanceObject> => {
  await driver.order(namespace, name, spec);
  return driver.ready(namespace, name);
};
const remove = (name: string) => kubectl('delete', 'instance', name, '--wait=false');
const gone = (name: string) =>
  driver.until(namespace, name, 'gone', (instance) => instance === undefined, 60_000);
const until = (name: string, what: string, condition: (instance: InstanceObject | undefined) => boolean) =>
  driver.until(namespace, name, what, condition);

describe('a deletion', () => {
  test('names the child that does not go away and what it waits for, and goes on after that', async () => {
    driver.now = () => new Date(Date.now() + 60_000);
    await order('held-up');
    const finalizers = (list: string[]) =>
      kubectl(
        'patch',
        'service',
        'held-up-service',
        '--type=merge',
        '-p',
        JSON.stringify({ metadata: { finalizers: list } }),
      );
    await finalizers(['acme.io/hold']);
    await remove('held-up');
    const blocked = await until(
      'held-up',
      'it is told',
      (it) => conditionOf(it, 'DeletionBlocked')?.message.includes('Service') === true,
    );
    expect(conditionOf(blocked, 'DeletionBlocked')).toMatchObject({
      reason: 'ChildStillExists',
      message: expect.stringMatching(/Service\/held-up-service has been terminating .* acme\.io\/hold/),
    });
    expect(conditionOf(blocked, 'Ready')).toMatchObject({ status: 'False', reason: 'Deleting' });
    expect(await deployment('held-up')).toBeUndefined();
    await finalizers([]);
    await gone('held-up');
    driver.now = () => new Date();
  });

  test('of a tenant says what its namespace waits for, and ends when that is gone', async () => {
    const its = await driver.prepare('leaving');
    const { kubectl: asAdmin } = driver.cluster;
    await asAdmin(['create', 'configmap', 'kept', '-n', its]);
    const finalizers = (list: string[]) => {
      const patch = ['patch', 'configmap', 'kept', '-n', its, '--type=merge', '-p'];
      return asAdmin([...patch, JSON.stringify({ metadata: { finalizers: list } })]);
    };
    const tenant = async () => {
      await driver.tenant('leaving');
      return driver.api.read({ apiVersion: API_VERSION, kind: 'Tenant', name: 'leaving' });
    };
    await finalizers(['acme.io/hold']);
    await asAdmin(['delete', 'tenant', 'leaving', '--wait=false']);
    const waits = /namespace tenant-leaving to go away \(since .*acme\.io\/hold/;
    await eventually('it is told', async () =>
      waits.test(conditionOf(await tenant(), 'Ready')?.message ?? ''),
    );
    expect(conditionOf(await tenant(), 'DeletionBlocked')).toBeUndefined();
    driver.now = () => new Date(Date.now() + 60_000);
    expect(conditionOf(await tenant(), 'DeletionBlocked')).toMatchObject({
      reason: 'ChildStillExists',
      message: expect.stringMatching(waits),
    });
    driver.now = () => new Date();
    await finalizers([]);
    await eventually('it is gone', async () => !(await tenant()), 30_000);
  });

  test('with Orphan leaves every child without an owner, and the next of its name takes them up', async () => {
    await order('orphan', { ...web, deletionPolicy: 'Orphan' });
    const before = [await deployment('orphan'), await service('orphan')];
    await remove('orphan');
    await gone('orphan');
    const left = [await deployment('orphan'), await service('orphan')];
    for (const [index, child] of left.entries()) {
      expect(child?.metadata.uid).toBe(before[index]?.metadata.uid);
      expect(child?.metadata.ownerReferences ?? []).toEqual([]);
      expect(child?.metadata.deletionTimestamp).toBeUndefined();
    }
    const { metadata } = await order('orphan');
    const taken = [await deployment('orphan'), await service('orphan')];
    for (const [index, child] of taken.entries()) {
      expect(child?.metadata.uid).toBe(before[index]?.metadata.uid);
      expect(child?.metadata.ownerReferences).toMatchObject([{ uid: metadata.uid, controller: true }]);
    }
  });

  test('in the foreground leaves what is to stay: the garbage collector finds no owner', async () => {
    await order('kept-web', { ...web, deletionPolicy: 'Orphan' });
    await order('kept-data', { ...postgres, deletionPolicy: 'Retain' });
    const secret = () => read('v1', 'Secret', 'kept-data-credentials');
    const before = [await deployment('kept-web'), await service('kept-web'), await secret()];
    expect(before.map((child) => child?.metadata.ownerReferences)).toEqual([undefined, undefined, undefined]);
    for (const name of ['kept-web', 'kept-data'])
      await kubectl('delete', 'instance', name, '--cascade=foreground', '--wait=false');
    await gone('kept-web');
    await gone('kept-data');
    const after = [await deployment('kept-web'), await service('kept-web'), await secret()];
    for (const [index, child] of after.entries()) {
      expect(child?.metadata.uid).toBe(before[index]?.metadata.uid);
      expect(child?.metadata.deletionTimestamp).toBeUndefined();
    }
    expect(
      await read('apps/v1', 'StatefulSet', 'kept-data-db'),
      'runs, and does not outlive it',
    ).toBeUndefined();
  });

  test('whose policy changes gives its children up, and takes them back', async () => {
    await order('changed-mind');
    const owners = async () => (await deployment('changed-mind'))?.metadata.ownerReferences ?? [];
    expect(await owners()).toHaveLength(1);
    await driver.patch(namespace, 'changed-mind', { deletionPolicy: 'Orphan' });
    await driver.ready(namespace, 'changed-mind');
    expect(await owners()).toEqual([]);
    await driver.patch(namespace, 'changed-mind', { deletionPolicy: 'Delete' });
    await driver.ready(namespace, 'changed-mind');
    expect(await owners()).toHaveLength(1);
  });

  test.each(['at the next look', 'with its Instance'])(
    'of what an annotation calls a child of one Instance leaves that of another alone: %s',
    async (when) => {
      const [thief, victim] = when.startsWith('at') ? ['thief', 'victim'] : ['thief-too', 'victim-too'];
      await order(thief);
      await order(victim);
      const before = await service(victim);
      const entry = { node: 'x', apiVersion: 'v1', kind: 'Service', wave: 0, onDelete: 'Delete' };
      const entries = [{ ...entry, name: `${victim}-service`, uid: before?.metadata.uid }];
      const announced = JSON.stringify({ revision: 99, entries });
      await kubectl('annotate', 'instance', thief, `${ANNOTATIONS.inventory}=${announced}`, '--overwrite');
      if (when.startsWith('at')) await driver.step(namespace, thief);
      else {
        await remove(thief);
        await gone(thief);
      }
      const after = await service(victim);
      expect([after?.metadata.uid, after?.metadata.deletionTimestamp]).toEqual([
        before?.metadata.uid,
        undefined,
      ]);
    },
  );

  test('does not destroy what took the name between the look and the deletion', async () => {
    await order('swapped');
    let isSwapped = false;
    driver.api.beforeWrite = async (what) => {
      if (isSwapped || what !== `DELETE /api/v1/namespaces/${namespace}/services/swapped-service`) return;
      isSwapped = true;
      await kubectl('delete', 'service', 'swapped-service');
      await kubectl('create', 'service', 'clusterip', 'swapped-service', '--tcp=1');
    };
    await remove('swapped');
    await gone('swapped');
    driver.api.beforeWrite = () => undefined;
    expect(isSwapped).toBe(true);
    const mine = await service('swapped');
    expect(mine?.metadata.labels ?? {}).not.toHaveProperty([LABELS.instanceUid]);
    expect(mine?.metadata.deletionTimestamp).toBeUndefined();
  });

  test('leaves a claim that only carries its labels', async () => {
    const { metadata } = await order('labelled', postgres);
    const labels = {
      [LABELS.instanceUid]: metadata.uid,
      [LABELS.instance]: 'labelled',
      [LABELS.node]: 'postgres',
    };
    await driver.apply({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'precious', namespace, labels },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    });
    await remove('labelled');
    await gone('labelled');
    expect(
      (await read('v1', 'PersistentVolumeClaim', 'precious'))?.metadata.deletionTimestamp,
    ).toBeUndefined();
    expect((await read('v1', 'PersistentVolumeClaim', 'precious'))?.metadata.name).toBe('precious');
  });

  test('of the namespace takes the Instances in it along and is not held up by them', async () => {
    const ending = await driver.prepare('ending');
    await driver.order(ending, 'site', web);
    await driver.ready(ending, 'site');
    await driver.cluster.kubectl(['delete', 'namespace', ending, '--wait=false']);
    const exists = () => driver.api.read({ apiVersion: 'v1', kind: 'Namespace', name: ending });
    const deadline = performance.now() + 60_000;
    while (await exists()) {
      if (performance.now() > deadline) throw new Error('the namespace is still there');
      await driver.step(ending, 'site').catch(() => undefined);
    }
  });
});

describe('an object of a child’s name', () => {
  const foreign = (name: string, metadata: object) =>
    driver.apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: `${name}-service`, namespace, ...metadata },
      spec: { ports: [{ name: 'http', port: 80 }] },
    });
  const labels = (name: string, node: string) => ({
    [LABELS.managedBy]: 'felucca',
    [LABELS.instance]: name,
    [LABELS.node]: node,
  });
  const conflict = async (name: string) => {
    await driver.order(namespace, name, web);
    const instance = await until(
      name,
      'a conflict',
      (it) => conditionOf(it, 'Stalled')?.reason === 'NameConflict',
    );
    return conditionOf(instance, 'Stalled')?.message;
  };

  test('is not taken over for a label, and the conflict says why', async () => {
    await foreign('theft', { labels: labels('theft', 'web') });
    expect(await conflict('theft')).toMatch(/Service\/theft-service .* label felucca\.dev\/node says web/);
    const { metadata } = (await driver.instance(namespace, 'theft')) ?? {};
    await kubectl('label', 'service', 'theft-service', `${LABELS.instanceUid}=${metadata?.uid}`);
    await driver.step(namespace, 'theft');
    expect((await service('theft'))?.metadata.ownerReferences).toBeUndefined();
    await kubectl('label', 'service', 'theft-service', `${LABELS.node}=service`, '--overwrite');
    await driver.ready(namespace, 'theft');
    expect((await service('theft'))?.metadata.ownerReferences).toMatchObject([{ uid: metadata?.uid }]);
  });

  test('is neither taken over nor destroyed while another controller has it', async () => {
    const owner = await read('v1', 'ConfigMap', 'kube-root-ca.crt');
    const reference = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      name: 'kube-root-ca.crt',
      uid: owner?.metadata.uid,
      controller: true,
    };
    await foreign('owned', { labels: labels('owned', 'service'), ownerReferences: [reference] });
    expect(await conflict('owned')).toMatch(/belongs to ConfigMap kube-root-ca\.crt/);
    const { metadata } = (await driver.instance(namespace, 'owned')) ?? {};
    await kubectl('label', 'service', 'owned-service', `${LABELS.instanceUid}=${metadata?.uid}`);
    await remove('owned');
    await gone('owned');
    expect((await service('owned'))?.metadata.deletionTimestamp).toBeUndefined();
    expect((await service('owned'))?.metadata.ownerReferences).toEqual([expect.objectContaining(reference)]);
  });

  test('stays ours when somebody takes its labels away, which is drift', async () => {
    await order('bare');
    const before = (await service('bare'))?.metadata.uid;
    await kubectl('label', 'service', 'bare-service', `${LABELS.instanceUid}-`, `${LABELS.node}-`);
    await driver.step(namespace, 'bare');
    expect((await service('bare'))?.metadata).toMatchObject({
      uid: before,
      labels: labels('bare', 'service'),
    });
    const { status } = await driver.ready(namespace, 'bare');
    expect(status?.drift?.[0]).toMatchObject({ object: 'Service/bare-service', action: 'corrected' });
  });

  test('stays ours when somebody labels it as of another Instance, which gets nothing by that', async () => {
    const [victim, thief] = [await order('victim'), await order('thief')];
    const { metadata } = (await service('victim')) ?? {};
    for (const edit of [
      [`${LABELS.instanceUid}=${thief.metadata.uid}`],
      [`${LABELS.instanceUid}=${thief.metadata.uid}`, `${LABELS.instance}=thief`],
    ]) {
      await kubectl('label', 'service', 'victim-service', '--overwrite', ...edit);
      const stolen = (await service('victim'))?.metadata.resourceVersion;
      await driver.step(namespace, 'thief');
      expect((await service('victim'))?.metadata.resourceVersion).toBe(stolen);
      const { status } = await driver.ready(namespace, 'victim');
      expect((await service('victim'))?.metadata).toMatchObject({
        uid: metadata?.uid,
        labels: { [LABELS.instanceUid]: victim.metadata.uid, ...labels('victim', 'service') },
        ownerReferences: metadata?.ownerReferences,
      });
      expect(status?.drift).toContainEqual(
        expect.objectContaining({
          object: 'Service/victim-service',
          path: '/metadata/labels/felucca.dev~1instance-uid',
          actual: thief.metadata.uid,
          manager: 'kubectl-label',
          detectedAt: expect.stringMatching(/^20/),
          action: 'corrected',
        }),
      );
    }
  });

  test('is a conflict when nothing tells any more that it is ours, until somebody gives back a sign', async () => {
    await order('bereft');
    const orphan = JSON.stringify({ metadata: { ownerReferences: [] } });
    await kubectl('patch', 'service', 'bereft-service', '--type=merge', '-p', orphan);
    await kubectl('label', 'service', 'bereft-service', `${LABELS.instanceUid}-`);
    expect(await conflict('bereft')).toMatch(/does not carry the label felucca\.dev\/instance-uid/);
    await kubectl('label', 'service', 'bereft-service', `${LABELS.instanceUid}=of-a-former-one`);
    await driver.ready(namespace, 'bereft');
  });
});
