import { expect, test } from 'vitest';
import { deploymentOf, pause, serviceOf, useStage } from './stage.ts';

// A leader that can not renew its Lease ends, and should: here it is to be seen that nothing else ends it.
const stage = useStage('control-plane', { operator: { env: { LEASE_DURATION_MS: '180000' } } });
const process = (name: string) => stage.rig.cluster.processes[name]!;

async function apiServerIsBack(): Promise<void> {
  await process('kube-apiserver').restart();
  await stage.until('the API server is back', async () => {
    const answer = await stage.rig.admin.call('GET', '/readyz').catch(() => undefined);
    return answer?.status === 200;
  });
}

test.each(['SIGTERM', 'SIGKILL'] as const)(
  'K16: an API server that ends by %s is waited for',
  async (signal) => {
    const customer = await stage.tenant();
    const crashes = stage.rig.operator.crashes;
    await customer.orders('web@1.0.0');
    // It says goodbye to its watches first, for a minute; nobody has to wait for that.
    await Promise.race([process('kube-apiserver').kill(signal), pause(2_000)]);
    await process('kube-apiserver').kill();
    await pause(500);
    await apiServerIsBack();
    await stage.expectMadeOnce(customer);
    expect(stage.rig.operator.crashes).toBe(crashes);
  },
);

test('K17: an etcd that is killed in the middle of an order loses nothing that was acknowledged', async () => {
  const customer = await stage.tenant();
  await customer.orders('web@1.0.0');
  await process('etcd').kill();
  await pause(500);
  await process('etcd').restart();
  await stage.until('the API server has it again', async () => {
    const answer = await stage.rig.admin.call('GET', '/readyz').catch(() => undefined);
    return answer?.status === 200;
  });
  await stage.expectMadeOnce(customer);
});

test('K25: while the controllers stand still nothing is called Ready that is not', async () => {
  const customer = await stage.tenant();
  process('kube-controller-manager').pause();
  try {
    await customer.orders('web@1.0.0');
    await stage.until('it says what it waits for', () => customer.says(customer.instance, 'Ready', 'False'));
    await pause(1_000);
    expect(customer.isReady(customer.instance)).toBe(false);
    expect(customer.live(deploymentOf(customer))?.status?.observedGeneration).toBeUndefined();
    await stage.rests(customer);
  } finally {
    process('kube-controller-manager').resume();
  }
  await stage.expectMadeOnce(customer);
});

test('K26: pods that have lost their node are reported, and the Instance is Ready when they run again', async () => {
  const customer = await stage.customer();
  const { admin } = stage.rig;
  const nodes = (await admin.call('GET', '/api/v1/nodes')).body.items;
  const cordon = (unschedulable: boolean) =>
    Promise.all(
      nodes.map(({ metadata }: { metadata: { name: string } }) =>
        admin.call(
          'PATCH',
          `/api/v1/nodes/${metadata.name}`,
          { spec: { unschedulable } },
          'application/merge-patch+json',
        ),
      ),
    );
  await cordon(true);
  try {
    const pods = `/api/v1/namespaces/${customer.namespace}/pods`;
    const force = { gracePeriodSeconds: 0 };
    for (const { metadata } of (await admin.call('GET', pods)).body.items)
      await admin.call('DELETE', `${pods}/${metadata.name}`, force);
    await stage.until('it is not Ready', () => customer.says(customer.instance, 'Ready', 'False'));
    await stage.rests(customer);
  } finally {
    await cordon(false);
  }
  await stage.expectMadeOnce(customer);
});

test('K26: a pod that never becomes ready is not called Ready, and the next order makes it right', async () => {
  const customer = await stage.customer();
  const { admin } = stage.rig;
  await admin.patch(deploymentOf(customer), {
    spec: { template: { metadata: { labels: { 'simulate.felucca.dev/pod': 'never-ready' } } } },
  });
  await customer.change({ parameters: { replicas: 3 } });
  await stage.until(
    'the new pods are made',
    () => customer.live(deploymentOf(customer))?.status?.updatedReplicas > 0,
  );
  await stage.until('it is not Ready', () => customer.says(customer.instance, 'Ready', 'False'));
  await stage.rests(customer);
  await admin.patch(deploymentOf(customer), {
    spec: { template: { metadata: { labels: { 'simulate.felucca.dev/pod': null } } } },
  });
  await stage.isUp(customer);
  await stage.rests(customer);
  expect([stage.made(deploymentOf(customer)), stage.made(serviceOf(customer))]).toEqual([1, 1]);
});
