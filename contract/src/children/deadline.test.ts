import { expect, test } from 'vitest';
import type { BlueprintNode } from '../resources/blueprint.ts';
import type { InstanceObject } from '../resources/object.ts';
import { overdue } from './deadline.ts';
import type { LiveObject } from './live-object.ts';

const now = new Date('2026-01-01T01:00:00Z');
const child = (changedAt?: string) =>
  ({
    metadata: {
      name: 'db',
      creationTimestamp: '2026-01-01T00:00:00Z',
      annotations: changedAt ? { 'felucca.dev/changed-at': changedAt } : {},
    },
  }) as unknown as LiveObject;
const instance = (status?: 'True' | 'False', lastTransitionTime = '') =>
  ({
    status: { conditions: status ? [{ type: 'Ready', status, lastTransitionTime }] : [] },
  }) as unknown as InstanceObject;
const early = '2026-01-01T00:50:00Z';
const late = '2026-01-01T00:59:30Z';
const ahead = '2026-01-01T01:00:30Z';

test.each<[string, LiveObject, InstanceObject, boolean]>([
  ['changed long ago, not ready since', child(early), instance('False', early), true],
  ['changed a moment ago, not ready for long', child(late), instance('False', early), false],
  ['changed long ago, not ready for a moment', child(early), instance('False', late), false],
  ['changed long ago, ready until now', child(early), instance('True', early), false],
  ['new, and the Instance says nothing yet', child(early), instance(), false],
  ['without a time of its own, made long ago', child(), instance('False', early), true],
  ['with a time that is none', child('soon'), instance('False', early), true],
  ['changed by a clock that is ahead', child(ahead), instance('False', early), false],
])('a child with 60 s that was %s is overdue or not', (_, live, of, isOverdue) => {
  expect(overdue({ seconds: 60 }, live, of, now, 'starts') !== undefined).toBe(isOverdue);
});

test.each<[NonNullable<BlueprintNode['deadline']>, object]>([
  [
    { seconds: 60 },
    {
      audience: 'operator',
      isLate: true,
      reason: 'DeadlineExceeded',
      message: 'not ready within 60 s: starts',
    },
  ],
  [
    { seconds: 60, audience: 'tenant', reason: 'NoLicense', message: 'enter a licence' },
    {
      audience: 'tenant',
      isLate: true,
      reason: 'NoLicense',
      message: 'not ready within 60 s: starts; enter a licence',
    },
  ],
])('what is told of %o', (deadline, told) => {
  expect(overdue(deadline, child(early), instance('False', early), now, 'starts')).toEqual({
    state: 'failed',
    ...told,
  });
});
