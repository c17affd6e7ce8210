import { describe, expect, test } from 'vitest';
import type { LiveObject } from './live-object.ts';
import { podFailures, tellFailure } from './pod-failures.ts';
import { readinessOf } from './readiness.ts';

const object = (kind: string, spec: object, status: object, generation = 1): LiveObject =>
  ({ apiVersion: 'v1', kind, metadata: { name: 'x', generation }, spec, status }) as LiveObject;

describe('a child counts as ready', () => {
  test.each([
    [
      'Deployment',
      { replicas: 2 },
      { observedGeneration: 1, replicas: 2, updatedReplicas: 2, availableReplicas: 2 },
      'ready',
    ],
    [
      'Deployment',
      { replicas: 2 },
      { observedGeneration: 0, replicas: 2, updatedReplicas: 2, availableReplicas: 2 },
      'progressing',
    ],
    [
      'Deployment',
      { replicas: 2 },
      { observedGeneration: 1, replicas: 3, updatedReplicas: 2, availableReplicas: 3 },
      'progressing',
    ],
    [
      'Deployment',
      { replicas: 2 },
      { observedGeneration: 1, replicas: 2, updatedReplicas: 2, availableReplicas: 1 },
      'progressing',
    ],
    ['Deployment', { replicas: 0 }, { observedGeneration: 1 }, 'ready'],
    [
      'Deployment',
      { replicas: 1 },
      { observedGeneration: 1, conditions: [{ type: 'Progressing', reason: 'ProgressDeadlineExceeded' }] },
      'failed',
    ],
    [
      'Deployment',
      { replicas: 1 },
      {
        observedGeneration: 1,
        conditions: [{ type: 'ReplicaFailure', status: 'True', message: 'exceeded quota: felucca' }],
      },
      'failed',
    ],
    [
      'StatefulSet',
      { replicas: 1 },
      {
        observedGeneration: 1,
        replicas: 1,
        readyReplicas: 1,
        updatedReplicas: 1,
        currentRevision: 'a',
        updateRevision: 'a',
      },
      'ready',
    ],
    [
      'StatefulSet',
      { replicas: 2 },
      {
        observedGeneration: 1,
        replicas: 2,
        readyReplicas: 2,
        updatedReplicas: 1,
        currentRevision: 'a',
        updateRevision: 'b',
      },
      'progressing',
    ],
    ['StatefulSet', { replicas: 1 }, { observedGeneration: 1, replicas: 1 }, 'progressing'],
    ['Job', {}, { conditions: [{ type: 'Complete', status: 'True' }] }, 'ready'],
    ['Job', {}, { conditions: [{ type: 'Failed', status: 'True', message: 'm' }] }, 'failed'],
    ['Job', { suspend: true }, {}, 'ready'],
    ['Job', {}, {}, 'progressing'],
    ['PersistentVolumeClaim', {}, { phase: 'Pending' }, 'progressing'],
    ['PersistentVolumeClaim', {}, { phase: 'Bound' }, 'ready'],
    ['PersistentVolumeClaim', {}, { phase: 'Lost' }, 'failed'],
    ['Service', {}, {}, 'ready'],
    ['Service', { type: 'LoadBalancer' }, { loadBalancer: {} }, 'progressing'],
    ['Service', { type: 'LoadBalancer' }, { loadBalancer: { ingress: [{ ip: '1' }] } }, 'ready'],
    [
      'HorizontalPodAutoscaler',
      {},
      { conditions: [{ type: 'AbleToScale', status: 'False', message: 'm' }] },
      'progressing',
    ],
    ['PodDisruptionBudget', {}, { observedGeneration: 1 }, 'ready'],
    ['ConfigMap', {}, {}, 'ready'],
  ])('%s %j with status %j: %s', (kind, spec, status, state) => {
    expect(readinessOf(object(kind, spec, status)).state).toBe(state);
  });
});

describe('a pod that does not come up', () => {
  const now = new Date('2026-01-01T00:01:00Z');
  const pod = (status: object): LiveObject => object('Pod', {}, status);
  const waiting = (reason: string, more: object = {}) =>
    pod({
      containerStatuses: [{ name: 'web', image: 'acme/web:1', state: { waiting: { reason } }, ...more }],
    });
  const running = (startedAt: string) =>
    pod({
      phase: 'Running',
      containerStatuses: [{ name: 'web', ready: false, state: { running: { startedAt } } }],
    });

  test.each([
    [
      'a crash',
      waiting('CrashLoopBackOff', { lastState: { terminated: { exitCode: 3 } } }),
      'tenant',
      /CrashLoopBackOff, exit code 3/,
    ],
    [
      'too little memory',
      waiting('CrashLoopBackOff', { lastState: { terminated: { reason: 'OOMKilled' } } }),
      'tenant',
      /larger size/,
    ],
    ['an image that is not there', waiting('ImagePullBackOff'), 'operator', /acme\/web:1/],
    ['an image that may not be pulled', waiting('ErrImageNeverPull'), 'operator', /ErrImageNeverPull/],
    [
      'no room',
      pod({
        conditions: [
          {
            type: 'PodScheduled',
            status: 'False',
            reason: 'Unschedulable',
            message: '0/1 nodes',
            lastTransitionTime: '2026-01-01T00:00:00Z',
          },
        ],
      }),
      'operator',
      /0\/1 nodes/,
    ],
    ['a failing probe', running('2026-01-01T00:00:00Z'), 'tenant', /readiness probe/],
  ])('because of %s is told to the one who can help', (_, broken, audience, message) => {
    const [failure] = podFailures([broken], now);
    expect(failure?.audience).toBe(audience);
    expect(tellFailure(failure!)).toMatch(message);
  });

  const crashed = (startedAt: string, restartCount: number) =>
    pod({
      phase: 'Running',
      containerStatuses: [
        {
          name: 'web',
          ready: true,
          restartCount,
          state: { running: { startedAt } },
          lastState: { terminated: { exitCode: 3 } },
        },
      ],
    });
  test.each([
    ['again after three crashes, for a moment', crashed('2026-01-01T00:00:55Z', 3), 1],
    ['again after three crashes, for long enough', crashed('2026-01-01T00:00:30Z', 3), 0],
    ['again after one crash', crashed('2026-01-01T00:00:55Z', 1), 0],
  ])('that runs %s', (_, running, failures) => {
    expect(podFailures([running], now)).toHaveLength(failures);
  });

  test('gets a moment before its probe counts as failing', () => {
    expect(podFailures([running('2026-01-01T00:00:55Z')], now)).toEqual([]);
  });
});

test('one is not called many', () => {
  const rolling = { observedGeneration: 1, replicas: 2, updatedReplicas: 1, availableReplicas: 1 };
  expect(readinessOf(object('Deployment', {}, rolling))).toMatchObject({
    message: '1 old replica is still there',
  });
});
