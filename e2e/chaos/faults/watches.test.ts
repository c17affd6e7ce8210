import { expect, test } from 'vitest';
import type { Fault } from '../proxy/fault.ts';
import type { Frame } from '../proxy/frames.ts';
import { deploymentOf, pause, serviceOf, useStage } from './stage.ts';

// The campaign does these to every single event; here they come in masses, or in ways that no plan has.
const stage = useStage('watches');

const framesOf = (kind: string, fault: NonNullable<Fault['frame']>): Fault => ({
  frame: (frame, watch) => (frame.key.startsWith(kind) ? fault(frame, watch) : undefined),
});

test('K9: what happened while nothing was told is found when something is told again', async () => {
  const customer = await stage.customer();
  const { admin, proxy } = stage.rig;
  let suppressed = 0;
  const hear = proxy.add({
    frame: ({ key }) => {
      if (!key.includes(customer.id)) return undefined;
      suppressed += 1;
      return { lines: [] };
    },
  });
  await customer.change({ parameters: { replicas: 2, message: 'unheard' } });
  await admin.delete(serviceOf(customer));
  await stage.until('the changes were not heard', () => suppressed >= 2);
  await pause(300);
  hear();
  for (const watch of proxy.watches) watch.expire();
  await stage.until('the change is there', () => customer.live(deploymentOf(customer))?.spec.replicas === 2);
  await stage.until('the Service is back', () => !customer.isGone(serviceOf(customer)));
  await stage.isUp(customer);
  await stage.rests(customer);
  expect(stage.made(serviceOf(customer))).toBe(2);
});

test('K10: of events that come together only the last counts', async () => {
  const customer = await stage.tenant();
  const held = new Map<string, Buffer>();
  // Every event waits for the next of its key, which takes its place.
  stage.rig.proxy.add(
    framesOf('deployments.apps/', ({ key, line }: Frame) => {
      const isFirst = !held.has(key);
      held.set(key, line);
      if (isFirst) return { lines: [] };
      held.delete(key);
      return { lines: [line] };
    }),
  );
  await customer.orders('web@1.0.0');
  await stage.until(
    'the Deployment is up',
    () => customer.live(deploymentOf(customer))?.status?.readyReplicas === 1,
  );
  stage.rig.proxy.clearFaults();
  for (const watch of stage.rig.proxy.watches) watch.expire();
  await stage.expectMadeOnce(customer);
});

test('K11: events told twice, and told again when they are long past, change nothing', async () => {
  const customer = await stage.tenant();
  const past: Buffer[] = [];
  let again = 0;
  stage.rig.proxy.add({
    frame: ({ key, line, initial }, { request }) => {
      if (initial || key === '' || !request.key.match(/^(instances|deployments|services)/)) return undefined;
      const old = past.filter(
        (other) => other.includes(`"${key.split('/').at(-1)}"`) && other.includes(kindIn(line)),
      );
      past.push(line);
      again += old.length;
      return { lines: [line, line, ...old] };
    },
  });
  await customer.orders('web@1.0.0');
  await stage.isUp(customer);
  await customer.change({ parameters: { replicas: 2 } });
  await stage.until('two replicas', () => customer.live(deploymentOf(customer))?.status?.readyReplicas === 2);
  await stage.expectMadeOnce(customer);
  expect(again).toBeGreaterThan(10);
  expect(customer.live(deploymentOf(customer))?.spec.replicas).toBe(2);
});

test('K13: a line cut in its middle, and one that is no JSON, cost a connection and no event', async () => {
  const customer = await stage.tenant();
  let [cut, corrupt] = [0, 0];
  stage.rig.proxy.add({
    frame: ({ key, line, initial }) => {
      if (initial || !key.includes(customer.id)) return undefined;
      if (key.startsWith('services/') && cut++ === 0)
        return { lines: [line.subarray(0, line.length / 2)], after: 'reset' };
      if (key.startsWith('deployments.apps/') && corrupt++ === 0)
        return { lines: [Buffer.from(line.toString().replaceAll(':', ';'))] };
      return undefined;
    },
  });
  await customer.orders('web@1.0.0');
  await stage.expectMadeOnce(customer);
  expect([cut, corrupt].every((count) => count > 0)).toBe(true);
});

test('K14: a place in the watch that was compacted away is found out, and costs one list', async () => {
  const customer = await stage.customer();
  const { cluster, proxy, admin } = stage.rig;
  const { promise: released, resolve: release } = Promise.withResolvers<undefined>();
  let expired = 0;
  proxy.add({
    frame: ({ type, line }) => {
      if (type === 'ERROR' && line.includes('410')) expired += 1;
      return undefined;
    },
  });
  const hold = proxy.add({ frame: () => released });
  await customer.change({ parameters: { message: 'behind the compaction' } });
  await admin.delete(serviceOf(customer));
  for (let round = 0; round < 5; round += 1)
    await admin.patch(customer.tenant, { metadata: { annotations: { round: String(round) } } });
  await compact(cluster.inside!.etcdUrl);
  // Its cache would still know what etcd forgot.
  await cluster.processes['kube-apiserver']!.kill();
  await cluster.processes['kube-apiserver']!.restart();
  hold();
  release(undefined);
  proxy.disconnect();
  await stage.until('the API server is back', async () => {
    const answer = await admin.call('GET', '/readyz').catch(() => undefined);
    return answer?.status === 200;
  });
  await stage.until('the Service is back', () => !customer.isGone(serviceOf(customer)));
  await stage.isUp(customer);
  await stage.until('the change is there', () => {
    const [container] = customer.live(deploymentOf(customer))?.spec.template.spec.containers ?? [];
    return container?.env[0].value === 'behind the compaction';
  });
  await stage.rests(customer);
  expect(expired).toBeGreaterThan(0);
  expect(expired).toBeLessThan(60);
});

const kindIn = (line: Buffer): string => /"kind":"(\w+)"/.exec(line.toString())?.[0] ?? '';

/** As `etcdctl compact` does, up to now. */
async function compact(etcdUrl: string): Promise<void> {
  const post = async (path: string, body: unknown) =>
    (await fetch(`${etcdUrl}${path}`, { method: 'POST', body: JSON.stringify(body) })).json() as Promise<{
      header: { revision: string };
    }>;
  const { header } = await post('/v3/kv/range', { key: Buffer.from('compact').toString('base64') });
  await post('/v3/kv/compaction', { revision: header.revision, physical: true });
}
