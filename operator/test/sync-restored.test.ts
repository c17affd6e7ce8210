import { beforeEach, describe, expect, it } from 'vitest';
import type { TestControlPlane } from './support/control-plane.ts';
import { eventually } from './support/eventually.ts';
import { instance, localInstance, SyncStage } from './support/sync-stage.ts';

const stage = SyncStage.register();
let plane: TestControlPlane;
beforeEach(() => {
  ({ plane } = stage);
});
const db = () => stage.instance();
const told = () => plane.reports.flatMap((report) => report.unknown);
const agreed = () =>
  eventually('both sides agree under e2', async () => (await stage.dataPlane()).status.epoch === 'e2');

/** The database goes on as it was when `was` was all that it had. */
function restore(was: () => void): void {
  plane.epoch = 'e2';
  was();
  plane.dropStreams();
}

describe('an operator under a database that went back in time', () => {
  // Invariant L7.
  it('keeps the newer generation, tells it with the row it is of, and applies the next that is higher', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance(9), { generation: 9 });
    const first = await stage.startLink();
    await stage.applied();
    await stage.persisted();
    restore(() => plane.put('Instance', 'acme/db', 'i1', instance(5), { generation: 5 }));
    await eventually('it is told', () => told().length > 0);
    expect(told()[0]).toMatchObject({
      key: 'acme/db',
      id: 'i1',
      generation: 9,
      kid: 'k1',
      spec: instance(9),
    });
    await agreed();
    expect((await db()).spec.parameters.size).toBe(9);
    // The cursor of e1 acknowledges nothing of e2.
    expect(plane.reports.filter(({ epoch, ack }) => epoch === 'e2' && ack?.cursor === '1')).toEqual([]);
    // A restart knows the object only by its stamp, whose revision is of an epoch that is over.
    await first.stop();
    const before = told().length;
    await stage.startLink();
    await eventually('it is told again', () => told().length > before);
    await stage.acked();
    expect((await db()).spec.parameters.size).toBe(9);
    plane.put('Instance', 'acme/db', 'i1', instance(3), { generation: 10 });
    await eventually('the next order is applied', async () => (await db()).spec.parameters.size === 3);
    await stage.acked();
  });

  // Invariant L14.
  it('keeps what was given the name meanwhile, until a tombstone names it', async () => {
    plane.endsFormer = false;
    plane.put('Instance', 'acme/db', 'new', instance(1));
    const { events } = await stage.startLink();
    await stage.applied();
    await stage.persisted();
    restore(() => plane.put('Instance', 'acme/db', 'old', instance(2)));
    await eventually('both are told', () => told().length > 0 && plane.nacks.length > 0, 30_000);
    expect(told()[0]).toMatchObject({ key: 'acme/db', id: 'new', generation: 1, spec: instance(1) });
    expect(plane.nacks[0]).toMatchObject({ key: 'acme/db', code: 'NameConflict' });
    await agreed();
    expect((await db()).status.desired.id).toBe('new');
    expect(events.join()).toMatch(/is new here, which the control plane has not ended/);
    plane.end({ kind: 'Instance', key: 'acme/db', id: 'new', generation: 1 });
    await eventually('its end', async () => (await db())?.status?.desired?.id === 'old', 40_000);
    await stage.acked();
  });

  // Invariant L5.
  it('works no more on a row that waited and is not in the feed any more', async () => {
    await stage.cluster.kubectl(['create', '-f', '-'], { stdin: localInstance('db', 7) });
    await stage.startLink();
    plane.put('Instance', 'acme/db', 'i1', instance());
    await eventually('it is refused', () => plane.nacks.some((nack) => nack.code === 'NameConflict'));
    await stage.acked();
    restore(() => plane.forget('Instance', 'acme/db'));
    await agreed();
    const refused = async () =>
      (await stage.dataPlane()).status.conditions.some(
        ({ type }: { type: string }) => type === 'RowsRefused',
      );
    await eventually('it is not refused any more', async () => !(await refused()));
    // What would have been its next attempt.
    await stage.cluster.kubectl(['delete', 'instance', 'db', '-n', 'tenant-acme']);
    plane.put('Instance', 'acme/next', 'i2', instance());
    await stage.applied('next');
    await stage.acked();
    expect(await db()).toBeUndefined();
  });

  // Invariant L14.
  it('keeps what an older tombstone names, when that was taken back after it', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance(), { generation: 5 });
    await stage.startLink();
    await stage.applied();
    await stage.persisted();
    restore(() => {
      plane.forget('Instance', 'acme/db');
      plane.end({ kind: 'Instance', key: 'acme/db', id: 'i1', generation: 3 });
    });
    await eventually('it is refused', () => plane.nacks.some((nack) => nack.code === 'GenerationRegressed'));
    expect(told()[0]).toMatchObject({ id: 'i1', generation: 5 });
    await agreed();
    expect(await db()).toBeDefined();
    plane.end({ kind: 'Instance', key: 'acme/db', id: 'i1', generation: 5 });
    await eventually('a newer one deletes it', async () => !(await db()));
    await stage.acked();
  });

  // Invariant L13.
  it('tells when an unknown object is gone, and tells of all again to a control plane that may have forgotten', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance());
    plane.put('Instance', 'acme/kept', 'i2', instance());
    await stage.startLink();
    await stage.applied('kept');
    await stage.persisted();
    restore(() => plane.forget('Instance', 'acme/db'));
    await eventually('it is told', () => told().length === 1);
    await agreed();
    plane.epoch = 'e3';
    plane.dropStreams();
    await eventually('it is told again', () => told().length === 2);
    await stage.cluster.kubectl(['delete', 'instance', 'db', '-n', 'tenant-acme']);
    await eventually('its end is told', () => plane.lastStatus('Instance', 'acme/db')?.deleted);
    expect(await stage.instance('kept')).toBeDefined();
  });
});
