import { ANNOTATIONS, type Condition, type InstanceObject } from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import { StatusPatience } from './status-patience.ts';

const instance = (uid: string, observedGeneration?: number, ready?: [string, string]): InstanceObject => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name: uid, uid, generation: 1 },
  ...(observedGeneration === undefined
    ? {}
    : {
        status: {
          observedGeneration,
          conditions: ready ? [{ type: 'Ready', status: ready[0], reason: ready[1] } as Condition] : [],
        },
      }),
});
/** An order that no status tells of yet. */
const ordered = (uid: string) => instance(uid);
const progressing = (uid: string) => instance(uid, 1, ['False', 'ChildrenProgressing']);
const ready = (uid: string) => instance(uid, 1, ['True', 'AllChildrenReady']);

function start() {
  let nowMs = 0;
  const patience = new StatusPatience({ nowMs: () => nowMs });
  return {
    patience,
    at: (ms: number) => (nowMs = ms),
    burst: (from: number, to: number, of = ordered) => {
      for (let n = from; n < to; n += 1) patience.waitMs(of(`other-${n}`));
    },
  };
}

test('a status waits once, for as long as the first look allowed', () => {
  const { patience, at } = start();
  expect(patience.waitMs(ordered('a'))).toBe(1_000);
  at(400);
  expect(patience.waitMs(ordered('a'))).toBe(600);
  expect(patience.waitMs(ordered('b'))).toBe(1_000);
  at(1_001);
  expect(patience.waitMs(ordered('a'))).toBe(0);
  expect(patience.waitMs(ordered('a'))).toBe(0);
  expect(patience.waitMs(ordered('b'))).toBe(399);
});

test('after a write the next one waits anew', () => {
  const { patience, at } = start();
  patience.waitMs(ordered('a'));
  at(5_000);
  patience.told(progressing('a'));
  expect(patience.waitMs(progressing('a'))).toBe(1_000);
});

test('the more are in progress the longer each waits, up to a minute', () => {
  const { patience, at, burst } = start();
  burst(0, 19);
  expect(patience.waitMs(ordered('a'))).toBe(1_000);
  burst(19, 199);
  at(4_000);
  expect(patience.waitMs(ordered('a'))).toBe(6_000);
  burst(199, 9_999);
  expect(patience.waitMs(ordered('a'))).toBe(56_000);
  for (let n = 0; n < 9_999; n += 1) patience.told(ready(`other-${n}`));
  expect(patience.waitMs(ordered('a'))).toBe(0);
});

test('a person who asks for a look is told at once, whatever burst is on', () => {
  const { patience, burst } = start();
  burst(0, 3_000);
  const asked = ordered('a');
  asked.metadata.annotations = { [ANNOTATIONS.reconcileRequestedAt]: 'now' };
  expect(patience.waitMs(asked)).toBe(0);
  asked.status = { ...asked.status, observedGeneration: 0, lastHandledReconcileAt: 'now' };
  expect(patience.waitMs(asked)).toBeGreaterThan(0);
});

describe('the orders of others', () => {
  test.each([
    ['that is ready', ready('a')],
    ['of which a child has failed', instance('a', 1, ['False', 'ChildFailed'])],
  ])('keep the status of an Instance %s from what is so for no longer than a second', (_, it) => {
    const { patience, at, burst } = start();
    burst(0, 3_000);
    expect(patience.waitMs(it)).toBe(1_000);
    at(1_000);
    expect(patience.waitMs(it)).toBe(0);
  });

  test('delay a status that is old, or says that it is not all', () => {
    const { patience, burst } = start();
    burst(0, 3_000);
    expect(patience.waitMs(instance('a', 0, ['True', 'AllChildrenReady']))).toBeGreaterThan(59_000);
    expect(patience.waitMs(progressing('b'))).toBeGreaterThan(59_000);
  });

  test('count until they are done, also when a status has told that they are not', () => {
    const { patience, burst } = start();
    burst(0, 200);
    for (let n = 0; n < 200; n += 1) patience.told(progressing(`other-${n}`));
    expect(patience.waitMs(progressing('a'))).toBe(10_000);
    for (let n = 0; n < 200; n += 1) patience.told(ready(`other-${n}`));
    expect(patience.waitMs(progressing('b'))).toBe(1_000);
  });

  test('count for a minute: those of a shard that was given away are done by somebody else', () => {
    const { patience, at, burst } = start();
    burst(0, 3_000);
    at(59_999);
    expect(patience.waitMs(ordered('a'))).toBeGreaterThan(59_000);
    at(60_000);
    expect(patience.waitMs(ordered('b'))).toBe(1_000);
  });

  test('do not count when they have been in progress for long, however often they are looked at', () => {
    const { patience, at, burst } = start();
    burst(0, 3_000);
    for (let minute = 1; minute < 5; minute += 1) {
      at(minute * 60_000);
      for (let n = 0; n < 3_000; n += 1) patience.told(progressing(`other-${n}`));
      burst(0, 3_000, progressing);
      expect(patience.waitMs(ordered(`a-${minute}`))).toBe(1_000);
    }
  });
});
