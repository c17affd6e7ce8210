import { ANNOTATIONS, FIELD_MANAGERS } from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import type { InstanceFacts } from '../facts/instance.ts';
import { condition, controlled, healthy, held, notReady } from '../why/facts-fixture.ts';
import { walk } from '../why/walk.ts';
import { branchOf } from './branch.ts';
import { classOf } from './class.ts';
import { isHeld, isOwned } from './ownership.ts';
import { toldOf } from './told.ts';

type Modifier = (facts: InstanceFacts) => void;

/** The annotation, as this field manager wrote it. */
const idBy =
  (manager: string): Modifier =>
  ({ instance }) => {
    Object.assign(instance.metadata, {
      annotations: { [ANNOTATIONS.id]: 'id' },
      managedFields: [
        {
          manager,
          operation: 'Apply',
          fieldsV1: { 'f:metadata': { 'f:annotations': { [`f:${ANNOTATIONS.id}`]: {} } } },
        },
      ],
    });
  };
const blocked: Modifier = ({ instance }) => {
  instance.metadata.deletionTimestamp = '2026-01-01T00:59:00Z';
  instance.status!.conditions = [
    condition('Ready', 'False', 'Deleting', 'waiting for Service/x to go away'),
    condition('DeletionBlocked', 'True', 'ChildStillExists', 'Service/x: its finalizers a/b wait'),
  ];
};
const instanceOf = (...modifiers: Modifier[]) => healthy(...modifiers).instance;

describe('the control plane owns an Instance', () => {
  test.each<[string, Modifier, boolean]>([
    ['with the stamp', controlled, true],
    ['that the sync has just made, and not stamped yet', idBy(FIELD_MANAGERS.sync), true],
    ['that somebody gave the annotation', idBy('kubectl-annotate'), false],
    ['that was applied here', () => {}, false],
  ])('%s: as is right', (_, modify, owned) => {
    const facts = healthy(modify);
    expect(isOwned(facts.instance)).toBe(owned);
    expect(walk(facts).steps[1]?.hop.state).toBe(owned ? 'ok' : 'skipped');
  });

  test('and holds only what is its own', () => {
    expect(isHeld(instanceOf(controlled, held))).toBe(true);
    expect(isHeld(instanceOf(held))).toBe(false);
  });
});

describe('what is told of an Instance', () => {
  test('is what is in the way of its deletion', () => {
    const told = toldOf(instanceOf(blocked));
    expect(told).toMatchObject({ reason: 'ChildStillExists', message: 'Service/x: its finalizers a/b wait' });
    expect(branchOf(healthy(blocked)).message).toMatch(/ChildStillExists: Service\/x: its finalizers/);
  });

  test('is that a deletion is held, before anything else', () => {
    const facts = healthy(controlled, held);
    expect(classOf(facts.instance)).toBe('held');
    expect(toldOf(facts.instance)).toMatchObject({
      reason: 'DeletionHeld',
      message: expect.stringContaining('the deletion is held'),
    });
    facts.instance.status!.conditions!.push(
      condition('DeletionBlocked', 'True', 'DeletionHeld', 'release or reject it there'),
    );
    expect(toldOf(facts.instance)?.message).toBe('release or reject it there');
    expect(branchOf(facts).message).toMatch(/DeletionHeld: release or reject it there$/);
  });

  test('is how it is resumed by whoever owns it', () => {
    const asleep = notReady('Suspended', 'set spec.suspend to false to resume');
    expect(toldOf(instanceOf(asleep))?.message).toBe('set spec.suspend to false to resume');
    expect(toldOf(instanceOf(asleep, controlled))?.message).toBe(
      'workloads are scaled to zero and data is kept; resume it in the control plane: POST /v1/organizations/acme/instances/db/resume',
    );
    expect(walk(healthy(asleep)).finding?.look).toEqual(['felucca resume db -n tenant-acme']);
    expect(walk(healthy(asleep, controlled)).finding).toMatchObject({
      remedy: 'resume it in the control plane: POST /v1/organizations/acme/instances/db/resume',
      look: [],
    });
  });
});
