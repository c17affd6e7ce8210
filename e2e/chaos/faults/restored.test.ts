import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Actor } from '../campaign/actor.ts';
import { LEASE } from '../rig/operator-child.ts';
import { deploymentOf, LONG_MS, serviceOf, useStage } from './stage.ts';

// It lives through the outage with what it knew.
const stage = useStage('restored', { operator: { env: { LEASE_DURATION_MS: '30000' } } });

const process = (name: string) => stage.rig.cluster.processes[name]!;

async function control(action: 'stop' | 'start'): Promise<void> {
  // Its caches are of the history that is taken away.
  if (action === 'stop') {
    await Promise.all([
      process('kube-apiserver').kill(),
      process('kube-controller-manager').kill(),
      process('kube-scheduler').kill(),
    ]);
    await process('etcd').stop();
    return;
  }
  await process('etcd').restart();
  await stage.until('etcd is back', etcdAnswers);
}

async function startTheRest(): Promise<void> {
  await process('kube-apiserver').restart();
  await stage.until('the API server is back', async () => {
    const answer = await stage.rig.admin.call('GET', '/readyz').catch(() => undefined);
    return answer?.status === 200;
  });
  await Promise.all([process('kube-controller-manager').restart(), process('kube-scheduler').restart()]);
}

const etcdAnswers = async (): Promise<boolean> =>
  fetch(`${stage.rig.cluster.inside!.etcdUrl}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );

const folder = (name: string): string => join(stage.rig.cluster.stateDir, name);

const lease = async (): Promise<{ renewTime: string }> =>
  (await stage.rig.admin.call('GET', LEASE)).body.spec;

async function backUp(): Promise<void> {
  await control('stop');
  rmSync(folder('backup'), { recursive: true, force: true });
  cpSync(folder('etcd'), folder('backup'), { recursive: true });
  await control('start');
  await startTheRest();
}

/** `bump`: as `etcdutl snapshot restore --bump-revision --mark-compacted`, so that nobody trusts an old version. */
async function restore(bump: boolean): Promise<void> {
  await control('stop');
  rmSync(folder('etcd'), { recursive: true });
  cpSync(folder('backup'), folder('etcd'), { recursive: true });
  await control('start');
  if (bump) await bumpRevision();
  await startTheRest();
}

async function bumpRevision(): Promise<void> {
  const { etcdUrl } = stage.rig.cluster.inside!;
  const post = async (path: string, body: unknown) => {
    const response = await fetch(`${etcdUrl}${path}`, { method: 'POST', body: JSON.stringify(body) });
    return response.json() as Promise<{ header: { revision: string } }>;
  };
  const key = Buffer.from('/bump').toString('base64');
  let revision = '0';
  for (let put = 0; put < 500; put += 1)
    revision = (await post('/v3/kv/put', { key, value: key })).header.revision;
  await post('/v3/kv/compaction', { revision, physical: true });
}

async function expectAsInTheBackup(customer: Actor, before: { uid: string }): Promise<void> {
  await stage.until('the operator ends itself', () => /etcd was restored/.test(stage.rig.log()));
  await stage.until('another one works', () => stage.rig.operator.works());
  await stage.until(
    'the cluster is as it was',
    () => customer.live(deploymentOf(customer))?.spec.replicas === 1,
  );
  await stage.isUp(customer);
  await stage.rests(customer);
  // The same object as before, never deleted and made anew.
  expect(customer.live(deploymentOf(customer))?.metadata.uid).toBe(before.uid);
  // And it works on: what is ordered now is made.
  await customer.change({ parameters: { replicas: 3 } });
  await stage.until('three replicas', () => customer.live(deploymentOf(customer))?.spec.replicas === 3);
  await stage.isUp(customer);
}

// Invariant L44.
test.each([
  ['without a new revision', false],
  ['with a new revision', true],
])(
  'K18: an etcd restored from a backup %s is what counts, and nothing in it is deleted',
  async (_, bump) => {
    writeFileSync(stage.rig.operator.logPath, '');
    const customer = await stage.customer();
    const { uid } = customer.live(deploymentOf(customer))!.metadata;
    await backUp();
    await stage.until('the operator works', () => stage.rig.operator.works());
    const { renewTime } = await lease();
    await customer.change({ parameters: { replicas: 2 } });
    await stage.until('two replicas', () => customer.live(deploymentOf(customer))?.spec.replicas === 2);
    const later = customer.child('felucca.dev/v1alpha1', 'Instance', 'later');
    await customer.apply({ ...later, spec: { blueprintRef: { name: 'chain', version: '1.0.0' } } });
    await stage.until('a later Instance is Ready', () => customer.isReady(later));
    // By that it knows that time went back.
    await stage.until('the Lease is renewed', async () => (await lease()).renewTime !== renewTime);
    await restore(bump);
    await expectAsInTheBackup(customer, { uid });
    expect(customer.isGone(later)).toBe(true);
    expect([stage.gone(deploymentOf(customer)), stage.gone(serviceOf(customer))]).toEqual([0, 0]);
  },
  5 * LONG_MS,
);
