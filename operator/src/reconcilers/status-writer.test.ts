import type { Condition, KubeObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import type { ReconcilerCluster } from './cluster.ts';
import { writeStatus } from './status-writer.ts';

const condition = (type: string): Condition => ({
  type,
  status: 'True',
  reason: 'Valid',
  message: 'all is well',
  lastTransitionTime: '2026-01-01T00:00:00Z',
});
const object = (status: object): KubeObject<unknown, object> => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { namespace: 'tenant-a', name: 'site', uid: 'one' },
  status,
});

/** What is sent for a status, beside the one that is there. */
async function sent(there: object, status: Record<string, unknown>): Promise<unknown[]> {
  const applied: unknown[] = [];
  const cluster = {
    apply: async (next: KubeObject) => applied.push(next.status),
  } as unknown as ReconcilerCluster;
  await writeStatus(cluster, object(there), status);
  return applied;
}

const READY = { observedGeneration: 2, conditions: [condition('Ready')] };

test('a status that says what is there already is not written, whatever others have beside it', async () => {
  expect(await sent({ ...READY, outputs: { url: 'x' } }, READY)).toEqual([]);
  const ofTheSync = { desired: { id: '1' }, conditions: [condition('Synced'), condition('Ready')] };
  expect(await sent({ ...READY, ...ofTheSync }, READY)).toEqual([]);
});

test.each([
  ['a generation', { ...READY, observedGeneration: 3 }],
  ['a condition', { ...READY, conditions: [condition('Stalled')] }],
  ['something that goes', { ...READY, outputs: undefined }],
])('%s is news', async (_, status) => {
  expect(await sent({ ...READY, outputs: { url: 'x' } }, status)).toEqual([status]);
});
