import { describe, expect, test } from 'vitest';
import type { LiveObject } from '../cluster.ts';
import { stuckPod } from './stuck-rollout.ts';

const now = new Date('2026-01-01T01:00:00Z');
const set = (spec: object = {}, status: object = {}): LiveObject => ({
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name: 'site-db', generation: 2 },
  spec: { ...spec },
  status: { observedGeneration: 2, updateRevision: 'new', ...status },
});
const pod = (
  ordinal: number | string,
  ready: 'True' | 'False',
  change: Partial<LiveObject['metadata']> = {},
) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: `site-db-${ordinal}`, labels: { 'controller-revision-hash': 'old' }, ...change },
  status: {
    conditions: [{ type: 'Ready', status: ready, lastTransitionTime: '2026-01-01T00:00:00Z' }],
  } as Record<string, unknown>,
});
const fresh = (() => {
  const young = pod(0, 'False');
  young.status.conditions = [{ type: 'Ready', status: 'False', lastTransitionTime: '2026-01-01T00:59:30Z' }];
  return young;
})();
const crashing = {
  ...fresh,
  status: {
    ...fresh.status,
    containerStatuses: [{ name: 'db', ready: false, state: { waiting: { reason: 'ImagePullBackOff' } } }],
  },
};

describe('the pod that a StatefulSet waits for in vain', () => {
  test.each<[string, LiveObject, LiveObject[], string | undefined]>([
    ['is of an earlier template and unready for long', set(), [pod(0, 'False')], 'site-db-0'],
    ['is the first of them', set(), [pod(2, 'False'), pod(1, 'False'), pod(0, 'True')], 'site-db-1'],
    ['fails for good', set(), [crashing], 'site-db-0'],
    ['may only be slow', set(), [fresh], undefined],
    ['is ready', set(), [pod(0, 'True')], undefined],
    [
      'has the new template',
      set(),
      [pod(0, 'False', { labels: { 'controller-revision-hash': 'new' } })],
      undefined,
    ],
    ['goes already', set(), [pod(0, 'False', { deletionTimestamp: '2026-01-01T00:59:00Z' })], undefined],
    ['belongs to another set', set(), [pod('proxy-0', 'False')], undefined],
    [
      'is not to be updated yet',
      set({ updateStrategy: { rollingUpdate: { partition: 1 } } }),
      [pod(0, 'False')],
      undefined,
    ],
    [
      'is for a person to delete',
      set({ updateStrategy: { type: 'OnDelete' } }),
      [pod(0, 'False')],
      undefined,
    ],
    ['is waited for by nobody', set({ podManagementPolicy: 'Parallel' }), [pod(0, 'False')], undefined],
    ['has a template that is not seen yet', set({}, { observedGeneration: 1 }), [pod(0, 'False')], undefined],
  ])('%s', (_, given, pods, name) => {
    expect(stuckPod(given, pods, now)?.metadata.name).toBe(name);
  });
});
