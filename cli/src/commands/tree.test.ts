import type { TenantObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { paintFor } from '../show/paint.ts';
import { condition } from '../why/facts-fixture.ts';
import type { Context } from './context.ts';
import { treeCommand } from './tree.ts';

test.each([
  ['has begun', [], 'deleting'],
  ['is blocked', [condition('DeletionBlocked', 'True', 'ChildStillExists')], 'failed'],
])('a Tenant whose deletion %s is told so', async (_, more, state) => {
  const tenant: TenantObject = {
    apiVersion: 'felucca.dev/v1alpha1',
    kind: 'Tenant',
    metadata: { name: 'acme', deletionTimestamp: '2026-01-01T00:59:00Z' },
    status: { observedGeneration: 1, conditions: [condition('Ready', 'False', 'Deleting'), ...more] },
  };
  let shown = '';
  const context = {
    kube: { get: async () => tenant, list: async () => [] },
    terminal: { out: (text: string) => (shown += text), now: () => new Date() },
    paint: paintFor(false),
    format: 'json',
  } as unknown as Context;
  await treeCommand(context, 'tenant/acme');
  expect(JSON.parse(shown)).toMatchObject([{ object: 'Tenant/acme', state }]);
});
