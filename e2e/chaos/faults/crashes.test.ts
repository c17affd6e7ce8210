import { expect, test } from 'vitest';
import { isWrite } from '../proxy/api-request.ts';
import type { Fault } from '../proxy/fault.ts';
import { deploymentOf, pause, serviceOf, useStage } from './stage.ts';

// The campaign kills at every write of every scenario; these are the four ways, each once.
const stage = useStage('crashes');

const isOfDeployment = (request: Parameters<NonNullable<Fault['request']>>[0]): boolean =>
  isWrite(request) && request.key.startsWith('deployments.apps/');

test('K1: killed with a write in its hand, it makes every child once', async () => {
  const customer = await stage.tenant();
  const { rig } = stage;
  let killed = false;
  rig.proxy.add({
    request: async (request) => {
      if (killed || !isOfDeployment(request)) return undefined;
      killed = true;
      await rig.operator.restart();
      return { do: 'disconnect' };
    },
  });
  await customer.orders('web@1.0.0');
  await stage.expectMadeOnce(customer);
  expect(killed).toBe(true);
});

test('K2: killed between the commit of a write and its answer, it makes every child once', async () => {
  const customer = await stage.tenant();
  const { rig } = stage;
  let killed = false;
  rig.proxy.add({
    answer: async (request, { status }) => {
      if (killed || !isOfDeployment(request)) return undefined;
      expect(status).toBe(201);
      killed = true;
      await rig.operator.restart();
      return { do: 'disconnect' };
    },
  });
  await customer.orders('web@1.0.0');
  await stage.expectMadeOnce(customer);
  expect(killed).toBe(true);
});

test('K3: killed right after the answer to a write, it makes every child once', async () => {
  const customer = await stage.tenant();
  const { rig } = stage;
  const { promise: killed, resolve } = Promise.withResolvers<void>();
  const remove = rig.proxy.add({
    answered: (request) => {
      if (!isOfDeployment(request)) return;
      remove();
      void rig.operator.restart().then(resolve);
    },
  });
  await customer.orders('web@1.0.0');
  await killed;
  await stage.expectMadeOnce(customer);
});

test('K4: with the answer to every write lost once, it does everything once', async () => {
  const customer = await stage.tenant();
  const lost = new Set<string>();
  stage.rig.proxy.add({
    answer: (request) => {
      if (!isWrite(request) || !request.key.includes(customer.id) || lost.has(request.key)) return undefined;
      lost.add(request.key);
      return { do: 'disconnect' };
    },
  });
  await customer.orders('web@1.0.0');
  await stage.expectMadeOnce(customer);
  expect(lost.size).toBeGreaterThanOrEqual(4);
  await customer.delete(customer.instance);
  await stage.until('the Instance is gone', () => customer.isGone(customer.instance));
  expect([stage.gone(deploymentOf(customer)), stage.gone(serviceOf(customer))]).toEqual([1, 1]);
});

test('P1: killed again and again at any moment, it loses and repeats nothing', async () => {
  const customers = [await stage.tenant(), await stage.tenant(), await stage.tenant()];
  for (const customer of customers) await customer.orders('web@1.0.0');
  // The same pauses in every run; where they hit depends on the machine.
  for (const ms of [40, 900, 350, 1_300]) {
    await pause(ms);
    await stage.rig.operator.restart();
  }
  for (const customer of customers) await stage.expectMadeOnce(customer);
});
