import { describe, expect, test } from 'vitest';
import { LABELS } from '../identity.ts';
import { explained, stuckObject } from './explain.ts';
import type { LiveObject } from './live-object.ts';

const now = new Date('2026-01-01T00:01:00Z');
const object = (kind: string, spec: object, change: object = {}, createdAt = '2026-01-01T00:00:00Z') =>
  ({
    apiVersion: 'v1',
    kind,
    metadata: { name: 'db', creationTimestamp: createdAt, labels: { [LABELS.node]: 'db' } },
    spec,
    ...change,
  }) as LiveObject;
const pod = (spec: object, phase: string, createdAt?: string) =>
  object('Pod', spec, { status: { phase } }, createdAt);

describe('what is stuck', () => {
  const set = object('StatefulSet', { replicas: 1 });
  test.each<[string, LiveObject[], LiveObject[], string | undefined]>([
    ['a set without pods', [set], [], 'StatefulSet'],
    ['a set that is new', [object('StatefulSet', {}, {}, '2026-01-01T00:00:55Z')], [], undefined],
    ['a set of no replicas', [object('StatefulSet', { replicas: 0 })], [], undefined],
    ['a set whose pod runs', [set], [pod({ nodeName: 'n' }, 'Running')], undefined],
    ['a pod that does not start', [set], [pod({ nodeName: 'n' }, 'Pending')], 'Pod'],
    ['a pod that waits for a node', [set], [pod({}, 'Pending')], undefined],
    ['a pod that is new', [set], [pod({ nodeName: 'n' }, 'Pending', '2026-01-01T00:00:55Z')], undefined],
    ['a suspended job', [object('Job', { suspend: true })], [], undefined],
    ['a job without pods', [object('Job', {})], [], 'Job'],
  ])('%s', (_, children, pods, kind) => {
    expect(stuckObject(children, pods, now)?.kind).toBe(kind);
  });
});

describe('the explanation', () => {
  const set = object('StatefulSet', {});
  const event = (reason: string, message: string, times: object) =>
    object('Event', {}, { reason, message, ...times });

  test('is the newest warning, whatever field its time is in', () => {
    const warnings = [
      event('Old', 'o', { lastTimestamp: '2026-01-01T00:00:20Z' }),
      event('New', 'n', {
        eventTime: '2026-01-01T00:00:10Z',
        series: { lastObservedTime: '2026-01-01T00:00:30Z' },
      }),
    ];
    expect(explained(set, warnings)?.message).toBe('StatefulSet db: New: n');
    expect(explained(set, [])).toBeUndefined();
  });

  test('of a quota is for the tenant, and certain; of a mount for the operator, and may pass', () => {
    const refused = event('FailedCreate', 'forbidden: exceeded quota: felucca', {});
    expect(explained(set, [refused])).toMatchObject({ audience: 'tenant', certain: true });
    const mount = event('FailedMount', 'secret "x" not found', {});
    expect(explained(set, [mount])).toMatchObject({ audience: 'operator', certain: false });
  });
});
