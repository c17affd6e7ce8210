import { ANNOTATIONS, type Condition, type InstanceObject } from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import { announcement } from '../announcement.ts';
import { type InstanceFacts, instanceConditions } from './conditions.ts';

/** Everything that one look at an Instance can come to, each with texts of its own. */
const LOOKS: Record<string, Partial<InstanceFacts>> = {
  ready: { nodes: [{ object: 'A/a', state: 'ready', message: '' }] },
  progressing: { nodes: [{ object: 'A/b', state: 'progressing', message: '1 of 3' }] },
  'failed child': { nodes: [{ object: 'A/c', state: 'failed', message: 'crash', audience: 'tenant' }] },
  'failing pod': {
    nodes: [{ object: 'A/d', state: 'progressing', message: '0 of 1' }],
    podFailures: [{ node: 'd', audience: 'operator', certain: true, message: 'no such image' }],
  },
  'late child, whose pod says why': {
    nodes: [{ object: 'A/o', state: 'failed', isLate: true, message: 'not ready', audience: 'operator' }],
    podFailures: [{ node: 'o', audience: 'operator', certain: true, message: 'no such image' }],
  },
  'a volume that goes': {
    nodes: [{ object: 'A/p', state: 'ready', message: '' }],
    drift: { status: 'True', reason: 'VolumeGoing', message: 'A/q is being deleted' },
  },
  'waiting for a field': { waiting: [{ node: 'web', field: 'db.status.ip' }] },
  suspended: { suspended: true, nodes: [{ object: 'A/e', state: 'ready', message: '' }] },
  conflict: { stalled: { reason: 'NameConflict', message: 'A/f is not ours' } },
  rejected: {
    stalled: { reason: 'ApplyRejected', message: 'A/g was refused' },
    nodes: [{ object: 'A/g', state: 'progressing', message: 'it does not exist yet' }],
    drift: { status: 'True', reason: 'DriftReported', message: 'A/h differs' },
  },
  'wrong parameters': { stalled: { reason: 'ParametersInvalid', message: '/size is missing' } },
  'no tenant yet': { notYet: { reason: 'TenantNotReady', message: 'Tenant acme is not ready' } },
  edited: { notYet: { reason: 'SpecEdited', message: 'the spec was edited' } },
  'a fight': {
    nodes: [{ object: 'A/i', state: 'ready', message: '' }],
    drift: { status: 'True', reason: 'RepairsPaused', message: 'A/i is changed again and again' },
  },
  'drift corrected': {
    nodes: [{ object: 'A/j', state: 'ready', message: '' }],
    drift: { status: 'False', reason: 'DriftCorrected', message: '3 differences so far' },
  },
  busy: { failure: { reason: 'ApiError', message: 'busy; it is retried', isPassing: true } },
  forbidden: { failure: { reason: 'ApiError', message: 'forbidden; it is retried', isPassing: false } },
  bug: { failure: { reason: 'InternalError', message: 'the operator made a mistake', isPassing: false } },
  deleting: { deletion: { message: 'waiting for A/k to go away' } },
  'left over': {
    nodes: [{ object: 'A/m', state: 'ready', message: '' }],
    leftOver: 'A/n has a finalizer',
  },
  blocked: { deletion: { message: 'waiting for A/l to go away', blocked: 'A/l has a finalizer' } },
};

const NOTHING: InstanceFacts = { waiting: [], nodes: [], podFailures: [], suspended: false };
const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds));
const instance = (generation: number, conditions: Condition[]): InstanceObject =>
  ({
    apiVersion: 'felucca.dev/v1alpha1',
    kind: 'Instance',
    metadata: { name: 'db', namespace: 'tenant-acme', uid: 'u', generation },
    status: { conditions },
  }) as InstanceObject;
const look = (name: string, generation: number, before: Condition[], second: number): Condition[] =>
  instanceConditions(instance(generation, before), { ...NOTHING, ...LOOKS[name] }, at(second));
const timeless = (conditions: Condition[]) =>
  conditions
    .map((condition) => ({ ...condition, lastTransitionTime: '' }))
    .toSorted((a, b) => a.type.localeCompare(b.type));
const of = (conditions: Condition[], type: string) => conditions.find((one) => one.type === type);

const names = Object.keys(LOOKS);
const pairs = names.flatMap((before) => names.map((now) => [before, now] as const));

describe('what conditions say depends on the last look alone', () => {
  test.each(pairs)('%s, then %s, of a new generation', (before, now) => {
    const earlier = look(before, 1, [], 1);
    const after = look(now, 2, earlier, 2);
    if (now === 'edited' && of(earlier, 'Ready')?.status === 'True') {
      // Nobody follows the edit.
      expect(of(after, 'Ready')).toEqual({ ...of(earlier, 'Ready'), observedGeneration: 2 });
      expect(of(after, 'Reconciling')).toMatchObject({ reason: 'SpecEdited' });
      return;
    }
    expect(timeless(after)).toEqual(timeless(look(now, 2, [], 2)));
    expect(after.every((condition) => condition.observedGeneration === 2)).toBe(true);
  });

  test.each(pairs)('%s, then %s, of the same generation', (before, now) => {
    const earlier = look(before, 1, [], 1);
    const after = look(now, 1, earlier, 2);
    const wasReady = of(earlier, 'Ready')?.status === 'True';
    if (!(wasReady && ['busy', 'edited'].includes(now))) {
      expect(timeless(after)).toEqual(timeless(look(now, 1, [], 2)));
      return;
    }
    // Who uses it loses nothing by a request of ours that has to be repeated.
    expect(of(after, 'Ready')).toEqual(of(earlier, 'Ready'));
    expect(of(after, 'Reconciling')?.reason).toBe(now === 'busy' ? 'ApiError' : 'SpecEdited');
    expect(of(after, 'DriftDetected')).toBeUndefined();
  });

  test.each(names)('%s twice changes nothing and is no news', (name) => {
    const once = look(name, 1, [], 1);
    const twice = look(name, 1, once, 2);
    expect(twice).toEqual(once);
    expect(announcement(once, twice)).toBeUndefined();
  });
});

test('a rollout that gave up is told with what its pods say, and for whom', () => {
  const nodes = [{ object: 'Deployment/web', state: 'failed' as const, message: 'it made no progress' }];
  const podFailures = [
    { node: 'web', audience: 'operator' as const, certain: false, message: 'no such image' },
  ];
  const [ready] = instanceConditions(instance(1, []), { ...NOTHING, nodes, podFailures }, at(1));
  expect(ready?.message).toMatch(
    /^Deployment\/web: it made no progress; .*no such image.* \(for the operator\)$/,
  );
});

test('one child is not called children', () => {
  expect(of(look('ready', 1, [], 1), 'Ready')?.message).toBe('1 child is ready');
});

test('a deadline does not hide what the pods say', () => {
  const ready = of(look('late child, whose pod says why', 1, [], 1), 'Ready');
  expect(ready?.message).toBe('A/o: not ready; no such image (for the operator)');
});

test.each([
  ['budget', /waits for a person, because it exceeds the deletion budget/],
  ['epoch', /waits until everything has been compared, because it came under a new epoch/],
])('a deletion that is held because of the %s says so', (cause, says) => {
  const held = instance(1, []);
  held.metadata.annotations = { [ANNOTATIONS.heldDeletion]: JSON.stringify({ rev: '1', cause }) };
  const blocked = of(instanceConditions(held, NOTHING, at(1)), 'DeletionBlocked');
  expect(blocked).toMatchObject({ reason: 'DeletionHeld', message: expect.stringMatching(says) });
});
