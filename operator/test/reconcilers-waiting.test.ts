import { ANNOTATIONS, API_VERSION } from '@felucca/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ClusterError } from '../src/reconcilers/cluster.ts';
import { conditionOf, Driver, example } from './reconcile-driver.ts';

let driver: Driver;
const web = { blueprintRef: { name: 'web', version: '1.0.0' } };
const postgres = { blueprintRef: { name: 'postgres', version: '1.0.0' }, parameters: { size: 'small' } };

beforeAll(async () => {
  driver = await Driver.start('reconcilers-waiting', 'kwok');
  await driver.prepare('acme', example('blueprint-web'), example('blueprint-postgres'));
});
afterAll(() => driver?.stop());

const tenantOf = (name: string) => driver.api.read({ apiVersion: API_VERSION, kind: 'Tenant', name });

describe('what only has to wait', () => {
  test('is not stalled: the Tenant of an Instance is not ready yet', async () => {
    await driver.apply({ apiVersion: API_VERSION, kind: 'Tenant', metadata: { name: 'young' }, spec: {} });
    await driver.cluster.kubectl(['create', 'namespace', 'tenant-young']);
    await driver.order('tenant-young', 'first', web);
    expect(await driver.step('tenant-young', 'first')).toMatchObject({ kind: 'waiting' });
    const instance = await driver.instance('tenant-young', 'first');
    expect(conditionOf(instance, 'Ready')).toMatchObject({ status: 'False', reason: 'TenantNotReady' });
    expect(conditionOf(instance, 'Reconciling')).toMatchObject({ status: 'True' });
    expect(conditionOf(instance, 'Stalled')).toBeUndefined();
    expect(driver.events).toEqual([]);
  });

  test('is not stalled: the control plane sends the Blueprint after the Instance', async () => {
    await driver.apply({
      apiVersion: API_VERSION,
      kind: 'Instance',
      metadata: { name: 'early', namespace: 'tenant-acme', annotations: { [ANNOTATIONS.id]: 'i1' } },
      spec: { blueprintRef: { name: 'late', version: '1.0.0' } },
    });
    expect(await driver.step('tenant-acme', 'early')).toMatchObject({ kind: 'waiting' });
    const instance = await driver.instance('tenant-acme', 'early');
    expect(conditionOf(instance, 'Ready')).toMatchObject({ reason: 'BlueprintNotFound' });
    expect(conditionOf(instance, 'Stalled')).toBeUndefined();
  });
});

describe('a Tenant that is ready', () => {
  test.each([409, 429, 503])('stays so while a repair is answered with %i', async (status) => {
    await driver.cluster.kubectl(['delete', 'limitrange', '--all', '-n', 'tenant-acme']);
    driver.api.beforeWrite = (what) => {
      if (what.includes('limitranges')) throw new ClusterError(status, 'not now');
    };
    try {
      expect(await driver.tenant('acme')).toMatchObject({ kind: 'retry' });
    } finally {
      driver.api.beforeWrite = () => undefined;
    }
    expect(conditionOf(await tenantOf('acme'), 'Ready')).toMatchObject({ status: 'True' });
    await driver.tenant('acme');
  });

  test('is not ready while a repair is refused', async () => {
    await driver.cluster.kubectl(['delete', 'limitrange', '--all', '-n', 'tenant-acme']);
    driver.api.beforeWrite = (what) => {
      if (what.includes('limitranges')) throw new ClusterError(403, 'forbidden by a policy');
    };
    try {
      await driver.tenant('acme');
    } finally {
      driver.api.beforeWrite = () => undefined;
    }
    expect(conditionOf(await tenantOf('acme'), 'Ready')).toMatchObject({ status: 'False' });
    await driver.tenant('acme');
    expect(conditionOf(await tenantOf('acme'), 'Ready')).toMatchObject({ status: 'True' });
  });
});

describe('an Instance whose pods are not made', () => {
  test('says what its controller says: the quota is used up', async () => {
    await driver.apply({
      apiVersion: API_VERSION,
      kind: 'Tenant',
      metadata: { name: 'small' },
      spec: { quota: { pods: 0 } },
    });
    await driver.tenant('small');
    await driver.order('tenant-small', 'db', postgres);
    driver.now = () => new Date(Date.now() + 11_000);
    const instance = await driver.until(
      'tenant-small',
      'db',
      'the reason is told',
      (one) => conditionOf(one, 'Ready')?.reason === 'ChildFailed',
    );
    driver.now = () => new Date();
    expect(conditionOf(instance, 'Ready')?.message).toMatch(
      /^StatefulSet db-.*FailedCreate: .*exceeded quota.*\(for the tenant\)$/,
    );
  });
});
