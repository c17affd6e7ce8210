import { DATA_PLANE_NAME } from '@felucca/contract';
import type { Cluster } from '@felucca/dev';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TestControlPlane } from './support/control-plane.ts';
import { eventually } from './support/eventually.ts';
import { instance, SyncStage } from './support/sync-stage.ts';

const stage = SyncStage.register();
let cluster: Cluster;
let plane: TestControlPlane;
beforeAll(() => {
  ({ cluster } = stage);
});
beforeEach(() => {
  ({ plane } = stage);
});
const startLink = () => stage.startLink();
const db = () => stage.instance();
const patch = (name: string, body: object) =>
  cluster.kubectl([
    ...['patch', 'instance', name, '-n', 'tenant-acme', '--type=merge'],
    ...['-p', JSON.stringify(body)],
  ]);
const ends = (id: string) =>
  plane.reports.flatMap((report) => report.status.filter((item) => item.id === id && item.deleted));

const held = async (): Promise<string> =>
  (await stage.dataPlane()).status.conditions.find(
    (condition: { type: string }) => condition.type === 'DeletionBlocked',
  )?.message ?? '';

describe('a link that takes over', () => {
  // Invariant L18.
  it('tells the end of an object whose finalizers were done while no operator ran', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance());
    const first = await startLink();
    await stage.applied();
    await patch('db', { metadata: { finalizers: ['example.test/hold'] } });
    plane.del('Instance', 'acme/db');
    await eventually('it is on its way out', async () => (await db()).metadata.deletionTimestamp);
    await stage.acked();
    await first.stop();
    await patch('db', { metadata: { finalizers: null } });
    await eventually('it is gone', async () => (await db()) === undefined);
    const second = await startLink();
    await eventually('its end is told', () => ends('i1').length > 0);
    await stage.persisted();
    await second.stop();
    expect(ends('i1')).toMatchObject([{ key: 'acme/db', generation: 2 }]);
  });

  // Invariant L18.
  it('still knows what is on its way out after a tombstone of another owner of the name', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance());
    await startLink();
    await stage.applied();
    await patch('db', { metadata: { finalizers: ['example.test/hold'] } });
    plane.del('Instance', 'acme/db');
    await eventually('it is on its way out', async () => (await db()).metadata.deletionTimestamp);
    await stage.acked();
    const before = plane.head;
    plane.del('Instance', 'acme/db', { id: 'never-here' });
    await eventually('the other is told', () => ends('never-here').length > 0);
    await stage.acked();
    expect(ends('i1')).toEqual([]);
    expect(BigInt((await stage.dataPlane()).status.cursor)).toBeLessThan(before);
    await patch('db', { metadata: { finalizers: null } });
    await eventually('its own end is told', () => ends('i1').length > 0);
    await stage.persisted();
    expect(ends('i1')).toMatchObject([{ key: 'acme/db', generation: 2 }]);
    expect(await db()).toBeUndefined();
  });

  // Invariant L18.
  it('tells the end of an object whose deletion was held and that a person deleted meanwhile', async () => {
    plane.put('DataPlane', DATA_PLANE_NAME, 'd1', { deletionBudgetPercent: 0 });
    plane.put('Instance', 'acme/db', 'i1', instance());
    plane.put('Instance', 'acme/cache', 'i2', instance());
    const first = await startLink();
    await stage.applied('cache');
    plane.del('Instance', 'acme/db');
    plane.del('Instance', 'acme/cache');
    await eventually('both are held', () => plane.nacks.length === 2);
    await cluster.kubectl(['delete', 'instance', 'db', '-n', 'tenant-acme']);
    await eventually('the end of the first is told', () => ends('i1').length > 0);
    await eventually('only the second is held', async () => /^1 deletion .*acme\/cache/.test(await held()));
    await first.stop();
    await cluster.kubectl(['delete', 'instance', 'cache', '-n', 'tenant-acme']);
    await startLink();
    await eventually('the end of the second is told', () => ends('i2').length > 0);
    await eventually('nothing is held', async () => (await held()) === '');
    await stage.persisted();
  });

  it('keeps what the leader before it applied, although its own cache is older', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance(1));
    const first = await startLink();
    await stage.applied();
    await stage.persisted();
    const standby = await stage.standby();
    standby.hold();
    plane.put('Instance', 'acme/db', 'i1', instance(2));
    await stage.acked();
    await stage.persisted();
    await first.stop();
    // Only the cluster can say what is wanted.
    plane.syncStatus = 503;
    const seen = plane.queries.length;
    await stage.startLink({ standby });
    await eventually('it begins', () => plane.queries.length > seen);
    standby.release();
    await patch('db', { spec: { suspend: true } });
    await eventually('an edit is restored', async () => !(await db()).spec.suspend);
    expect((await db()).spec.parameters.size).toBe(2);
    expect((await db()).status.desired.generation).toBe(2);
  });
});
