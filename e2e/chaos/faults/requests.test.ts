import { expect, test } from 'vitest';
import { isWrite } from '../proxy/api-request.ts';
import { failure, LONG_MS, pause, useStage } from './stage.ts';

const stage = useStage('requests');

test('K5: whoever writes an Instance between its reads and writes does not stop it, nor make it hammer', async () => {
  const customer = await stage.customer();
  const { admin, proxy } = stage.rig;
  let storms = 0;
  proxy.add({
    request: async (request) => {
      const isOurs = isWrite(request) && request.key.includes(`${customer.namespace}/main`);
      if (!isOurs || !request.key.startsWith('instances') || storms >= 15) return undefined;
      storms += 1;
      const annotations = { storm: String(storms) };
      await admin.patch(customer.instance, { metadata: { annotations } }).catch(() => undefined);
      return undefined;
    },
  });
  await customer.change({ parameters: { replicas: 2 } });
  await stage.until('the change is there', () => customer.isReady(customer.instance));
  await customer.delete(customer.instance);
  await stage.until('the Instance is gone', () => customer.isGone(customer.instance));
  expect(storms).toBeGreaterThan(2);
  expect(proxy.journal.requests).toBeLessThan(400);
});

test('K6: told to come later, it comes later', async () => {
  const customer = await stage.tenant();
  const { proxy } = stage.rig;
  const refusedUntil = performance.now() + 4_000;
  let [refused, early] = [0, 0];
  const told = new Map<string, number>();
  proxy.add({
    request: (request) => {
      if (performance.now() > refusedUntil || !isWrite(request)) return undefined;
      if (performance.now() < (told.get(request.key) ?? 0)) early += 1;
      told.set(request.key, performance.now() + 990);
      refused += 1;
      return { do: 'answer', answer: failure(429, 'TooManyRequests', { 'retry-after': '1' }) };
    },
  });
  await customer.orders('web@1.0.0');
  await stage.expectMadeOnce(customer);
  expect(early).toBe(0);
  // At most once a second for each object, instead of as fast as it can.
  expect(refused).toBeLessThan(30);
});

test('K6: with one seat in the API server, everybody is served', async () => {
  const { admin } = stage.rig;
  const flow = '/apis/flowcontrol.apiserver.k8s.io/v1';
  await admin.call('POST', `${flow}/prioritylevelconfigurations`, {
    metadata: { name: 'one-seat' },
    spec: {
      type: 'Limited',
      limited: {
        nominalConcurrencyShares: 1,
        lendablePercent: 0,
        borrowingLimitPercent: 0,
        limitResponse: { type: 'Reject' },
      },
    },
  });
  const subject = {
    kind: 'ServiceAccount',
    serviceAccount: { namespace: 'felucca-system', name: 'felucca-operator' },
  };
  const rules = [
    {
      subjects: [subject],
      resourceRules: [
        { verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'], clusterScope: true },
      ],
    },
  ];
  const created = await admin.call('POST', `${flow}/flowschemas`, {
    metadata: { name: 'one-seat' },
    spec: { priorityLevelConfiguration: { name: 'one-seat' }, matchingPrecedence: 2, rules },
  });
  expect([created.status, created.body.message]).toEqual([201, undefined]);
  try {
    const customers = await Promise.all(Array.from({ length: 6 }, () => stage.tenant()));
    for (const customer of customers) await customer.orders('web@1.0.0');
    for (const customer of customers) await stage.expectMadeOnce(customer);
  } finally {
    await admin.call('DELETE', `${flow}/flowschemas/one-seat`);
    await admin.call('DELETE', `${flow}/prioritylevelconfigurations/one-seat`);
  }
});

test('K7: an API server that fails, in every way, every third time', async () => {
  const customer = await stage.tenant();
  const { proxy } = stage.rig;
  const answers = [
    failure(500, 'InternalError'),
    failure(503, 'ServiceUnavailable'),
    failure(504, 'Timeout'),
  ];
  let [asked, failed] = [0, 0];
  proxy.add({
    request: ({ key }) => {
      asked += 1;
      if (!key.includes(customer.id) || asked % 3 !== 0 || failed >= 15) return undefined;
      return { do: 'answer', answer: answers[failed++ % answers.length]! };
    },
  });
  await customer.orders('web@1.0.0');
  await stage.expectMadeOnce(customer);
  expect(failed).toBeGreaterThan(2);
  expect(proxy.journal.requests).toBeLessThan(400);
});

test(
  'K7: a request that is never answered is given up and made again',
  async () => {
    const customer = await stage.tenant();
    let swallowed = 0;
    stage.rig.proxy.add({
      request: (request) => {
        if (swallowed > 0 || !isWrite(request) || !request.key.startsWith('services/')) return undefined;
        swallowed += 1;
        return { do: 'swallow' };
      },
    });
    await customer.orders('web@1.0.0');
    await stage.expectMadeOnce(customer);
    expect(swallowed).toBe(1);
  },
  3 * LONG_MS,
);

test('K8: slow answers make it slow and nothing else', async () => {
  const customer = await stage.tenant();
  const { proxy } = stage.rig;
  let delays = 0;
  proxy.add({
    answer: async ({ key }) => {
      if (!key.includes(customer.id)) return undefined;
      delays += 1;
      await pause([100, 700, 300, 2_000, 150][delays % 5]!);
      return undefined;
    },
  });
  await customer.orders('web@1.0.0');
  await stage.expectMadeOnce(customer);
  expect(delays).toBeGreaterThan(3);
});
