import { expect, test } from 'vitest';
import { deploymentOf, pause, serviceOf, useStage } from './stage.ts';

const stage = useStage('stale', { secondApiServer: true });
/** Long enough to act on what it sees, which is old. */
const STALE_MS = 2_000;

test('K15: with its watches on an API server that stands still, it neither undoes nor destroys what it can not see', async () => {
  const customer = await stage.customer();
  const leaving = await stage.customer();
  const { proxy, etcdLink, admin } = stage.rig;
  proxy.route = ({ verb }) => (verb === 'watch' ? 'b' : 'a');
  proxy.disconnect();
  await stage.until('the watches are on the other API server', () => proxy.watches.length > 10);
  await stage.rests(customer);
  etcdLink?.freeze();
  const { uid } = customer.live(deploymentOf(customer))!.metadata;
  await customer.change({ parameters: { replicas: 2 } });
  await leaving.delete(leaving.instance);
  // Seen as a difference to what is wanted, which is old: a repair of it would undo the person's work.
  await admin.patch(deploymentOf(customer), { metadata: { annotations: { by: 'a person' } } });
  await pause(STALE_MS);
  expect(customer.live(deploymentOf(customer))?.metadata.uid).toBe(uid);
  expect([stage.gone(deploymentOf(customer)), stage.gone(serviceOf(customer))]).toEqual([0, 0]);
  etcdLink?.thaw();
  await stage.until('the change is there', () => customer.live(deploymentOf(customer))?.spec.replicas === 2);
  await stage.until('the other Instance is gone', () => leaving.isGone(leaving.instance));
  await stage.isUp(customer);
  await stage.rests(customer);
  expect(customer.live(deploymentOf(customer))?.metadata).toMatchObject({
    uid,
    annotations: { by: 'a person' },
  });
});

test('K15: started against an API server that stands still, it does nothing until that one goes on', async () => {
  const customer = await stage.customer();
  const { proxy, etcdLink, operator } = stage.rig;
  await operator.kill();
  etcdLink?.freeze();
  // An Instance that the frozen server does not know, and one that it does not know to be gone.
  await customer.delete(serviceOf(customer));
  const newcomer = customer.child('felucca.dev/v1alpha1', 'Instance', 'other');
  await customer.apply({ ...newcomer, spec: { blueprintRef: { name: 'web', version: '1.0.0' } } });
  proxy.route = () => 'b';
  proxy.journal.clear();
  operator.start();
  await stage.until('the operator asks', () => proxy.journal.requests > 0);
  await pause(STALE_MS);
  expect(await operator.works()).toBe(false);
  expect(stage.writes(customer)).toEqual([]);
  etcdLink?.thaw();
  await stage.until('the operator works', () => operator.works());
  await stage.until('the Service is back', () => !customer.isGone(serviceOf(customer)));
  await stage.until('the other Instance is Ready', () => customer.isReady(newcomer));
  await stage.rests(customer);
  expect(stage.gone(deploymentOf(customer))).toBe(0);
});
