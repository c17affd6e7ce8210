import { LABELS, type LiveObject, stuckObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { podStatusOnly } from './watched-objects.ts';

test('what is kept of a pod tells that it does not start', () => {
  const pod: LiveObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'db-web-1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { [LABELS.node]: 'web' },
    },
    spec: { nodeName: 'node-1', containers: [{ name: 'web', env: [] }] },
    status: { phase: 'Pending', hostIP: '10.0.0.1' },
  };
  const kept = podStatusOnly(pod);
  expect(stuckObject([], [kept], new Date('2026-01-01T00:01:00Z'))).toBe(kept);
  expect(JSON.stringify(kept)).not.toMatch(/containers|hostIP/);
});
