import { API_VERSION, type KubeObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { type KubeRequest, KubeSyncCluster } from './kube-cluster.ts';

test('a write says itself whether it is of the status, also of an object that is called so', async () => {
  const sent: KubeRequest[] = [];
  const cluster = new KubeSyncCluster(async (request) => {
    sent.push(request);
    return { status: 200, body: {} };
  });
  const tenant: KubeObject = { apiVersion: API_VERSION, kind: 'Tenant', metadata: { name: 'status' } };
  await cluster.apply(tenant);
  await cluster.apply(tenant, 'status');
  expect(sent.map(({ path, subresource }) => [path.split('?')[0], subresource])).toEqual([
    ['/apis/felucca.dev/v1alpha1/tenants/status', undefined],
    ['/apis/felucca.dev/v1alpha1/tenants/status/status', 'status'],
  ]);
});
