import type { StatusItem } from '@felucca/contract';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Batch, MAX_PENDING_DRIFT, MAX_UNWANTED, Pending } from './pending.ts';

const limits = { items: 500, bytes: 1024 * 1024 };
const item = (key: string, generation: number, over: Partial<StatusItem> = {}): StatusItem => ({
  kind: 'Instance',
  key,
  id: key,
  local: false,
  generation,
  digest: 'd',
  observedSeq: generation,
  conditions: [],
  ...over,
});

/** An end on its way, whose object is wanted again by now. */
function refutedEnd(pending: Pending): Batch {
  pending.addStatus(item('a', 1, { deleted: true }));
  const onItsWay = pending.take(limits)!;
  pending.dropEnd(item('a', 1));
  return onItsWay;
}

describe('what is pending', () => {
  it('is one item per object, the newest', () => {
    const pending = new Pending();
    for (let generation = 1; generation <= 10_000; generation += 1) pending.addStatus(item('a', generation));
    expect(pending.take(limits)?.status.map((one) => one.generation)).toEqual([10_000]);
  });

  it('leaves out what the control plane has already accepted', () => {
    const pending = new Pending();
    pending.addStatus(item('a', 1));
    pending.settle(pending.take(limits)!);
    expect(pending.addStatus(item('a', 1, { observedSeq: 99 }))).toBe(false);
    expect(pending.size).toBe(0);
    pending.forgetAccepted();
    expect(pending.addStatus(item('a', 1))).toBe(true);
  });

  it('is the sealing key until it is told, and again when the control plane may have lost it', () => {
    const pending = new Pending();
    const taken = () => pending.take(limits);
    pending.setSealingKey('a');
    const batch = taken()!;
    expect(batch.sealingKey).toBe('a');
    pending.putBack(batch);
    expect(pending.size).toBe(1);
    pending.settle(taken()!);
    pending.setSealingKey('a');
    expect(taken()).toBeUndefined();
    pending.forgetAccepted();
    expect(taken()?.sealingKey).toBe('a');
    pending.setSealingKey('b');
    // What comes back late is not what is to be told now.
    pending.putBack(batch);
    expect(taken()?.sealingKey).toBe('b');
    pending.putBack(batch);
    expect(taken()).toBeUndefined();
  });

  it('is no end of what was applied again while that was on its way, also when the report fails', () => {
    const pending = new Pending();
    const onItsWay = refutedEnd(pending);
    pending.putBack(onItsWay);
    // What the watch says after the answer to the write.
    pending.addStatus(item('a', 1));
    expect(pending.take(limits)?.status.map(({ deleted }) => deleted)).toEqual([undefined]);
  });

  it('is told again when its end was, and came to be untrue before the answer that got lost', () => {
    const pending = new Pending();
    pending.addStatus(item('a', 1));
    pending.settle(pending.take(limits)!);
    const onItsWay = refutedEnd(pending);
    pending.putBack(onItsWay);
    pending.addStatus(item('a', 1));
    expect(pending.take(limits)?.status.map(({ deleted }) => deleted)).toEqual([undefined]);
  });

  it('is an end that came true after all, once more, when the report of the first one fails', () => {
    const pending = new Pending();
    const onItsWay = refutedEnd(pending);
    pending.addStatus(item('a', 1, { deleted: true }));
    pending.putBack(onItsWay);
    expect(pending.take(limits)?.status.map(({ deleted }) => deleted)).toEqual([true]);
  });

  it('sends an object that changes back while its change is on the way', () => {
    const pending = new Pending();
    pending.addStatus(item('a', 1));
    pending.settle(pending.take(limits)!);
    pending.addStatus(item('a', 2));
    const onItsWay = pending.take(limits)!;
    expect(pending.addStatus(item('a', 1, { observedSeq: 3 }))).toBe(true);
    pending.settle(onItsWay);
    expect(pending.take(limits)?.status[0]?.generation).toBe(1);
  });

  // Invariant L23.
  it('puts back a refused batch without replacing something newer', () => {
    const pending = new Pending();
    pending.addStatus(item('a', 1));
    pending.addStatus(item('b', 1));
    const batch = pending.take(limits)!;
    pending.addStatus(item('a', 2));
    pending.putBack(batch);
    expect(pending.take(limits)?.status.map((one) => [one.key, one.generation])).toEqual([
      ['a', 2],
      ['b', 1],
    ]);
  });

  it('tells that an object is here again, and not its end before', () => {
    const pending = new Pending();
    const [end, object] = [
      item('a', 2, { deleted: true }),
      { kind: 'Instance' as const, key: 'a', id: 'a', generation: 2 },
    ];
    pending.addStatus(end);
    pending.addUnknown(object);
    expect(pending.take(limits)).toMatchObject({ status: [], unknown: [object] });
    pending.addStatus(end);
    const onItsWay = pending.take(limits)!;
    pending.addUnknown(object);
    pending.putBack(onItsWay);
    expect(pending.take(limits)).toMatchObject({ status: [], unknown: [object] });
  });

  it('tells the end of a resource although a late status of it follows', () => {
    const pending = new Pending();
    pending.addStatus(item('a', 2, { deleted: true }));
    expect(pending.addStatus(item('a', 2))).toBe(false);
    expect(pending.take(limits)?.status).toMatchObject([{ key: 'a', deleted: true }]);
  });

  it('forgets an end that is not true any more', () => {
    const pending = new Pending();
    pending.addStatus(item('a', 2, { deleted: true }));
    pending.dropEnd(item('a', 2));
    pending.addStatus(item('a', 2));
    expect(pending.take(limits)?.status.map((one) => one.deleted)).toEqual([undefined]);
  });

  it('says what came of an object after an end that was none', () => {
    const pending = new Pending();
    pending.addStatus(item('a', 1, { deleted: true }));
    expect(pending.addStatus(item('a', 1))).toBe(false);
    pending.dropEnd(item('a', 1));
    expect(pending.take(limits)?.status.map((one) => one.deleted)).toEqual([undefined]);
    pending.addStatus(item('b', 1, { deleted: true }));
    pending.addStatus(item('b', 1));
    expect(pending.take(limits)?.status).toMatchObject([{ deleted: true }]);
    expect(pending.take(limits)).toBeUndefined();
  });

  // Invariant L18.
  it('says what came of it also when that end is on its way already, or told', () => {
    for (const isTold of [false, true]) {
      const pending = new Pending();
      pending.addStatus(item('a', 1, { deleted: true }));
      pending.addStatus(item('a', 1));
      const onItsWay = pending.take(limits)!;
      if (isTold) pending.settle(onItsWay);
      pending.dropEnd(item('a', 1));
      if (!isTold) pending.settle(onItsWay);
      expect(pending.take(limits)?.status.map((one) => one.deleted)).toEqual([undefined]);
      expect(pending.take(limits)).toBeUndefined();
    }
  });

  it('says nothing older again of an object that is wanted again', () => {
    const pending = new Pending();
    pending.addStatus(item('a', 1, { deleted: true }));
    pending.addStatus(item('a', 1, { observedSeq: 2 }));
    pending.settle(pending.take(limits)!);
    pending.addStatus(item('a', 1, { observedSeq: 3 }));
    pending.dropEnd(item('a', 1));
    expect(pending.take(limits)?.status).toMatchObject([{ observedSeq: 3 }]);
  });

  it('says of an object that is wanted again what is newer than its end, whichever came first', () => {
    for (const both of [
      [item('a', 2, { deleted: true }), item('a', 3)],
      [item('a', 3), item('a', 2, { deleted: true })],
    ]) {
      const pending = new Pending();
      for (const one of both) pending.addStatus(one);
      const told = pending.take(limits)!;
      expect(told.status.map(({ generation, deleted }) => [generation, deleted])).toEqual([[3, undefined]]);
      pending.settle(told);
      expect(pending.take(limits)).toBeUndefined();
    }
  });

  // Invariant L23.
  it('never exceeds the limits of a report and loses nothing', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 50 }), (objects, items) => {
        const pending = new Pending();
        for (let index = 0; index < objects; index += 1) pending.addStatus(item(`k${index}`, 1));
        let seen = 0;
        for (
          let batch = pending.take({ items, bytes: 4_000 });
          batch;
          batch = pending.take({ items, bytes: 4_000 })
        ) {
          if (batch.status.length > items || JSON.stringify(batch.status).length > 4_100) return false;
          seen += batch.status.length;
        }
        return seen === objects;
      }),
      { numRuns: 30 },
    );
  });

  it('keeps two resources apart that had the same name one after the other', () => {
    const pending = new Pending();
    pending.addStatus(item('a', 4, { id: 'old', deleted: true }));
    pending.addStatus(item('a', 1, { id: 'new' }));
    expect(pending.take(limits)?.status.map((one) => one.id)).toEqual(['old', 'new']);
  });

  it('bounds drift records while the control plane is away', () => {
    const pending = new Pending();
    const drift = {
      object: 'Service/a',
      path: '',
      expected: '',
      actual: '',
      manager: '',
      action: 'corrected' as const,
    };
    for (let index = 0; index < MAX_PENDING_DRIFT + 5; index += 1)
      pending.addDrift({ ...drift, kind: 'Instance', key: 'a', id: 'a', detectedAt: String(index) });
    expect(pending.size).toBe(MAX_PENDING_DRIFT);
    expect(pending.droppedDrift).toBe(5);
  });
});

it('acknowledges nothing of an epoch that is over', () => {
  const pending = new Pending();
  pending.setAck('7', 'd');
  pending.forgetAccepted();
  expect(pending.take(limits)).toBeUndefined();
});

describe('what came before its row', () => {
  const early = (): Pending => {
    const pending = new Pending();
    pending.addStatus(item('acme/db', 4));
    pending.settle(
      pending.take(limits)!,
      () => false,
      () => true,
    );
    return pending;
  };
  const row = { kind: 'Instance' as const, key: 'acme/db', id: 'acme/db' };

  it('is not sent again by itself, and is as soon as there is a row', () => {
    const pending = early();
    expect(pending.addStatus(item('acme/db', 4))).toBe(false);
    pending.wanted(row);
    expect(pending.take(limits)?.status.map((one) => one.generation)).toEqual([4]);
  });

  it('is not sent when something newer waits, or was accepted meanwhile', () => {
    const pending = early();
    pending.addStatus(item('acme/db', 5));
    pending.wanted(row);
    const batch = pending.take(limits)!;
    expect(batch.status.map((one) => one.generation)).toEqual([5]);
    pending.settle(batch);
    pending.wanted(row);
    expect(pending.size).toBe(0);
  });
});

describe('what the control plane does not want', () => {
  const local = (generation: number, over: Partial<StatusItem> = {}) =>
    item('beta/db', generation, { local: true, id: 'uid-1', ...over });
  const refused = (): Pending => {
    const pending = new Pending();
    pending.addStatus(local(1));
    pending.settle(pending.take(limits)!, () => true);
    return pending;
  };

  it('is not sent at each change; asked again, the newest is', () => {
    const pending = refused();
    for (const generation of [2, 3, 4]) expect(pending.addStatus(local(generation))).toBe(false);
    expect(pending.take(limits)).toBeUndefined();
    pending.askAgain();
    expect(pending.take(limits)?.status.map((one) => one.generation)).toEqual([4]);
  });

  it('is sent when another object has its name', () => {
    expect(refused().addStatus(local(1, { id: 'uid-2' }))).toBe(true);
  });

  it('ends without a word, its drift too', () => {
    const pending = refused();
    const { kind, key, id } = local(1);
    const field = { object: 'Service/db', path: '/spec', expected: '', actual: '', manager: 'kubectl' };
    pending.addDrift({ ...field, kind, key, id, detectedAt: '2026-01-01T00:00:00Z', action: 'corrected' });
    pending.addStatus(local(1, { deleted: true }));
    pending.askAgain();
    expect(pending.size).toBe(0);
  });

  it('is asked of again under a new epoch', () => {
    const pending = refused();
    pending.forgetAccepted();
    expect(pending.take(limits)?.status).toHaveLength(1);
  });

  it('that changed on its way is held back as it is now', () => {
    const pending = new Pending();
    pending.addStatus(local(1));
    const onItsWay = pending.take(limits)!;
    pending.addStatus(local(2));
    pending.settle(onItsWay, () => true);
    expect(pending.size).toBe(0);
    pending.askAgain();
    expect(pending.take(limits)?.status[0]?.generation).toBe(2);
  });

  it('is remembered of a bounded number', () => {
    const pending = new Pending();
    const count = MAX_UNWANTED + 10;
    for (let at = 0; at < count; at += 1) pending.addStatus(local(1, { id: `uid-${at}` }));
    pending.settle(pending.take({ items: count, bytes: Number.MAX_SAFE_INTEGER })!, () => true);
    pending.askAgain();
    expect(pending.size).toBe(MAX_UNWANTED);
  });
});
