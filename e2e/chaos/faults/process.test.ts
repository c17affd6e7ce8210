import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bundleProgram } from '@felucca/dev';
import { expect, test } from 'vitest';
import { isWrite } from '../proxy/api-request.ts';
import { FAST_CLOCK, type OperatorChild } from '../rig.ts';
import { deploymentOf, LONG_MS, pause, serviceOf, useStage } from './stage.ts';

const LEASE_MS = 4_000;
const stage = useStage('process', {
  operator: { env: { LEASE_DURATION_MS: String(LEASE_MS), FELUCCA_VERSION: 'first' } },
});
const LEASE = '/apis/coordination.k8s.io/v1/namespaces/felucca-system/leases/felucca-operator';

/** A second operator, whose requests can be told from those of the first by their user agent. */
function second(env: Record<string, string> = {}, nodeArgs: string[] = []): Promise<OperatorChild> {
  return stage.another('second', {
    env: { LEASE_DURATION_MS: String(LEASE_MS), FELUCCA_VERSION: 'second', ...env },
    nodeArgs,
  });
}

interface Accepted {
  who: string;
  key: string;
  atMs: number;
}

/** Writes that the API server accepted, by whom. */
function followWriters(): Accepted[] {
  const accepted: Accepted[] = [];
  stage.rig.proxy.add({
    answer: (request, { status }) => {
      const isOfNobody = /^(leases|events)/.test(request.key);
      if (isWrite(request) && status < 300 && !isOfNobody)
        accepted.push({
          who: request.headers['user-agent']?.split('/')[1] ?? '',
          key: request.key,
          atMs: performance.now(),
        });
      return undefined;
    },
  });
  return accepted;
}

const term = async (): Promise<number> =>
  (await stage.rig.admin.call('GET', LEASE)).body.spec?.leaseTransitions ?? 0;

test('P2: a leader that slept while another one took over wakes up, writes nothing and ends', async () => {
  const customer = await stage.customer();
  const standby = await second();
  standby.start();
  await stage.until('the standby is ready', async () => (await standby.probe('/readyz')).startsWith('200'));
  const accepted = followWriters();
  const { operator } = stage.rig;
  const [before, crashes] = [await term(), operator.crashes];
  // In the middle of its work, so that it wakes up with plans.
  await customer.change({ parameters: { replicas: 2 } });
  operator.pause();
  const frozenMs = performance.now();
  await stage.until('the standby leads', () => standby.works());
  const tookMs = performance.now() - frozenMs;
  await stage.until('the change is there', () => customer.live(deploymentOf(customer))?.spec.replicas === 2);
  await stage.isUp(customer);
  await customer.change({ parameters: { replicas: 3 } });
  await stage.until(
    'the next change is there',
    () => customer.live(deploymentOf(customer))?.spec.replicas === 3,
  );
  const wokeMs = performance.now();
  operator.resume();
  await stage.until('the first one has ended', () => operator.crashes > crashes);
  await stage.expectMadeOnce(customer);
  expect(accepted.filter(({ who, atMs }) => who === 'first' && atMs > wokeMs)).toEqual([]);
  expect(await term()).toBeGreaterThan(before);
  expect(customer.live(deploymentOf(customer))?.spec.replicas).toBe(3);
  // Its duration and one more try, on a machine that others use too.
  expect(tookMs).toBeLessThan(5 * LEASE_MS);
});

test('P3: of two operators with one name, one works', async () => {
  const twin = await second({ POD_NAME: 'operator' });
  twin.start();
  await stage.until('the twin is ready', async () => (await twin.probe('/readyz')).startsWith('200'));
  const accepted = followWriters();
  const customer = await stage.tenant();
  await customer.orders('web@1.0.0');
  await stage.expectMadeOnce(customer);
  expect(new Set(accepted.map(({ who }) => who))).toEqual(new Set(['first']));
  expect([await stage.rig.operator.works(), await twin.works()]).toEqual([true, false]);
});

test('P3: when the Lease is deleted, one of two operators goes on', async () => {
  const other = await second();
  other.start();
  await stage.until('the other is ready', async () => (await other.probe('/readyz')).startsWith('200'));
  const customer = await stage.tenant();
  const accepted = followWriters();
  await stage.rig.admin.call('DELETE', LEASE);
  await customer.orders('web@1.0.0');
  await stage.expectMadeOnce(customer);
  const leads = async (): Promise<number> =>
    Number(await stage.rig.operator.works()) + Number(await other.works());
  await stage.until('one leads', async () => (await leads()) === 1);
  // Once the second has written, the first does no more.
  const writers = accepted.map(({ who }) => who);
  expect(writers.lastIndexOf('first')).toBeLessThan(
    writers.indexOf('second') < 0 ? Number.POSITIVE_INFINITY : writers.indexOf('second'),
  );
});

test.each([
  ['an hour fast', '3600000', '1'],
  ['an hour slow', '-3600000', '1'],
  ['gaining ten per cent', '0', '1.1'],
  ['losing ten per cent', '0', '0.9'],
])('P4: with its clock %s it leads, works and hands over', async (_, offset, speed) => {
  const customer = await stage.tenant();
  const skewed = await second({ CLOCK_OFFSET_MS: offset, CLOCK_SPEED: speed }, ['--import', FAST_CLOCK]);
  await stage.rig.operator.stop();
  skewed.start();
  await stage.until('it leads', () => skewed.works());
  await customer.orders('web@1.0.0');
  await stage.isUp(customer);
  await skewed.kill({ keepLease: true });
  stage.rig.operator.start();
  await stage.until('the one with the right clock leads', () => stage.rig.operator.works());
  await stage.expectMadeOnce(customer);
});

test(
  'P5: running out of memory again and again it does no harm, and with enough it goes on',
  async () => {
    const customer = await stage.tenant();
    const poor = await second({}, ['--max-old-space-size=8']);
    await stage.rig.operator.stop();
    poor.start();
    await customer.orders('web@1.0.0');
    await stage.until('it ran out of memory', () => poor.crashes >= 2);
    await poor.kill();
    stage.rig.operator.start();
    await stage.expectMadeOnce(customer);
  },
  3 * LONG_MS,
);

test('P6: with a fifth of the time of a core, in pieces, it is slow and right', async () => {
  const customer = await stage.tenant();
  const { operator } = stage.rig;
  let stopped = false;
  const starving = (async () => {
    while (!stopped) {
      operator.pause();
      await pause(400);
      operator.resume();
      await pause(100);
    }
  })();
  try {
    await customer.orders('web@1.0.0');
    await stage.isUp(customer);
  } finally {
    stopped = true;
    await starving;
  }
  await stage.expectMadeOnce(customer);
});

test(
  'P7: another version takes over in the middle of an order, there and back',
  async ({ skip }) => {
    const entry = await previousOperator().catch((error: Error) => {
      const why = `no older version can be built here (a shallow clone?): ${error.message.split('\n')[0]}`;
      process.stderr.write(`SKIPPED: P7: ${why}\n`);
      return skip(why);
    });
    const customer = await stage.tenant();
    const older = await stage.another('older', { entry, env: { FELUCCA_VERSION: 'older' } });
    const { admin, operator, proxy } = stage.rig;
    // The older version knows no term. Going back to it goes back to its chart, which does not ask for one.
    const { metadata, ...binding } = (await admin.call('GET', FENCE)).body;
    await admin.call('DELETE', FENCE);
    const onApply = async (kind: string, from: OperatorChild, to: OperatorChild): Promise<void> => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const remove = proxy.add({
        answer: async (request) => {
          if (!isWrite(request) || !request.key.startsWith(kind)) return undefined;
          remove();
          await from.kill();
          to.start();
          resolve();
          return { do: 'disconnect' };
        },
      });
      await promise;
    };
    const back = onApply('deployments.apps', operator, older);
    await customer.orders('web@1.0.0');
    await back;
    await stage.until('the older version leads', () => older.works());
    await stage.isUp(customer);
    const forth = onApply('deployments.apps', older, operator);
    await customer.change({ parameters: { replicas: 2 } });
    await forth;
    await stage.until('the newer version leads', () => operator.works());
    await admin.call('POST', dirname(FENCE), {
      ...binding,
      metadata: { name: metadata.name, labels: metadata.labels },
    });
    await stage.until(
      'the change is there',
      () => customer.live(deploymentOf(customer))?.spec.replicas === 2,
    );
    await stage.expectMadeOnce(customer);
  },
  3 * LONG_MS,
);

test('P8: what the operator keeps in the cluster may be lost or spoiled', async () => {
  const customer = await stage.customer();
  const { admin, operator } = stage.rig;
  const plane = customer.object('felucca.dev/v1alpha1', 'DataPlane', 'default');
  await admin.delete(plane);
  await customer.patch(customer.instance, {
    metadata: { annotations: { 'felucca.dev/inventory': '{"no": json' } },
  });
  await operator.restart();
  await customer.change({ parameters: { replicas: 2 } });
  await stage.until('the change is there', () => customer.live(deploymentOf(customer))?.spec.replicas === 2);
  await stage.until('the DataPlane is there again', () => !customer.isGone(plane));
  await stage.expectMadeOnce(customer);
  await customer.delete(customer.instance);
  await stage.until('the Instance is gone', () => customer.isGone(customer.instance));
  expect([customer.isGone(deploymentOf(customer)), customer.isGone(serviceOf(customer))]).toEqual([
    true,
    true,
  ]);
});

const FENCE = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/felucca-fencing';
/** What somebody may have installed before this version. */
const PREVIOUS = '28b3435';

async function previousOperator(): Promise<string> {
  const repository = join(import.meta.dirname, '../../..');
  // Inside the repository, where its packages are found.
  const root = join(repository, '.felucca/previous');
  rmSync(root, { recursive: true, force: true });
  mkdirSync(join(root, 'node_modules/@felucca'), { recursive: true });
  const archive = execFileSync('git', ['archive', PREVIOUS, 'operator', 'contract'], {
    cwd: repository,
    maxBuffer: 256 << 20,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  execFileSync('tar', ['-x', '-C', root], { input: archive });
  symlinkSync(join(root, 'contract'), join(root, 'node_modules/@felucca/contract'));
  return bundleProgram('operator', { folder: join(root, 'dist'), root });
}
