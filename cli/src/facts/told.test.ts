import type { InstanceObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { toldOf } from './told.ts';

const instance = (reason: string, deletionTimestamp?: string): InstanceObject => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name: 'db', ...(deletionTimestamp ? { deletionTimestamp } : {}) },
  status: {
    observedGeneration: 1,
    conditions: [
      { type: 'Ready', status: 'True', reason, message: `because ${reason}`, lastTransitionTime: 'then' },
    ],
  },
});

test('what was so before a deletion is not told of it', () => {
  expect(toldOf(instance('AllChildrenReady'))?.message).toBe('because AllChildrenReady');
  expect(toldOf(instance('AllChildrenReady', 'now'))).toEqual({
    reason: 'Deleting',
    message: 'it is being deleted',
    since: 'now',
  });
  expect(toldOf(instance('Deleting', 'now'))?.message).toBe('because Deleting');
});
