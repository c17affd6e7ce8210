import { objectRef } from '@felucca/contract';
import { createFeedMetrics } from '@felucca/control-api/feed/metrics';
import { SyncMetrics } from '@felucca/operator/sync/sync-metrics';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { World } from './world.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const AWAY_HOURS = 72;
const advance = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.clearAllTimers();
  vi.useRealTimers();
});

function startWorld(seed: number): World {
  const metrics = { feed: createFeedMetrics(new Registry()), sync: new SyncMetrics(new Registry()) };
  const world = new World({ seed, advance, metrics });
  world.startOperator();
  return world;
}

const sizeOf = (world: World, key: string): unknown => {
  const spec = world.cluster.get('Instance', objectRef('Instance', key))?.spec as
    | { parameters: { size: number } }
    | undefined;
  return spec?.parameters.size;
};

// Invariant L28.
test.each([1, 2, 3])(
  'a control plane that is away for 72 hours stops nothing, and its return is a delta (seed %i)',
  async (seed) => {
    const world = startWorld(seed);
    const { controlPlane, cluster, database } = world;
    for (const key of ['acme/a', 'acme/b', 'acme/c']) world.happen({ do: 'order', key, size: 1, afterMs: 0 });
    expect(await world.settle()).toEqual([]);
    const uids = cluster.all().map(({ metadata }) => metadata.uid);

    world.happen({ do: 'apiAway', afterMs: 0 });
    const answeredBefore = controlPlane.answers.length;
    const connectsBefore = controlPlane.connects;
    for (let hour = 0; hour < AWAY_HOURS; hour += 1) {
      // Somebody changes what the operator owns, at times; its process ends, once.
      if (hour % 8 === 3) world.happen({ do: 'edit', key: 'acme/a', afterMs: 0 });
      if (hour === 30) world.happen({ do: 'crash', afterMs: 0 });
      // Tenants go on: another process writes their orders.
      if (hour === 5) world.happen({ do: 'order', key: 'acme/d', size: 2, afterMs: 0 });
      if (hour === 20) world.happen({ do: 'order', key: 'acme/b', size: 3, afterMs: 0 });
      if (hour === 40) world.happen({ do: 'delete', key: 'acme/c', afterMs: 0 });
      await advance(HOUR_MS);
      expect([...'abcd'].map((name) => sizeOf(world, `acme/${name}`))).toEqual([1, 1, 1, undefined]);
    }
    expect(cluster.all().map(({ metadata }) => metadata.uid)).toEqual(uids);
    expect(cluster.removed).toEqual([]);
    expect(controlPlane.answers).toHaveLength(answeredBefore);
    // At most every 30 s with full jitter, so that the control plane is not met by a crowd.
    expect(controlPlane.connects - connectsBefore).toBeLessThan((AWAY_HOURS * HOUR_MS) / 10_000);

    world.happen({ do: 'apiBack', afterMs: 0 });
    await advance(2 * MINUTE_MS);
    expect(await world.settle()).toEqual([]);
    expect([...'abcd'].map((name) => sizeOf(world, `acme/${name}`))).toEqual([1, 3, undefined, 2]);
    expect(new Set(controlPlane.answers.slice(answeredBefore))).toEqual(new Set(['resume']));
    expect(cluster.removed.map(({ key }) => key)).toEqual(['tenant-acme/c']);
    expect(database.acked.cursor).toBe(database.head.head);
    expect(await world.end()).toEqual([]);
  },
  120_000,
);
