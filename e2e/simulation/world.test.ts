import { createFeedMetrics } from '@felucca/control-api/feed/metrics';
import { SyncMetrics } from '@felucca/operator/sync/sync-metrics';
import fc from 'fast-check';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FOUND } from './found.ts';
import { type Happening, KEYS, World } from './world.ts';

/** `make simulate RUNS=100000 SEED=1` looks further. */
const RUNS = Number(process.env['RUNS'] ?? 300);
const SEED = Number(process.env['SEED'] ?? 7);
const metrics = { feed: createFeedMetrics(new Registry()), sync: new SyncMetrics(new Registry()) };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const afterMs = fc.constantFrom(0, 5, 50, 400, 3_000, 40_000);
const key = fc.constantFrom(...KEYS);
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('order' as const), key, size: fc.nat(3), afterMs }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete' as const), key, afterMs }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('takeBack', 'releaseNamed', 'removeUnknown'), afterMs }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('budget' as const), percent: fc.constantFrom(0, 100), afterMs }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('deleteLocally', 'edit', 'edit', 'addField', 'addField', 'forgeRow', 'forgeEnd'),
      key,
      afterMs,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom(
        ...(['compact', 'restore', 'restoreUnnoticed', 'backup', 'release', 'cut', 'cut', 'crash'] as const),
        ...(['backupCluster', 'restoreCluster'] as const),
        ...(['drain', 'apiAway', 'apiBack', 'clusterFails', 'clusterWorks'] as const),
      ),
      afterMs,
    }),
  },
) as fc.Arbitrary<Happening>;

/** Percent; left out: the default. */
const budget = fc.constantFrom(undefined, 0, 0, 100);

const slots = fc.constantFrom(4, 1);

const TIMEOUT_MS = 60_000 + RUNS * 500;

// Invariant L4, L5, L13, L14, L15, L16, L17, L18, L24, L28, L40, L44.
test(
  'whatever happens, in the end the cluster is as the database has it, and nothing is deleted that nobody deleted or permitted',
  async () => {
    let lived = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.array(happening, { maxLength: 20 }),
        budget,
        slots,
        async (seed, happenings, percent, atOnce) => {
          vi.setSystemTime(1_000_000);
          const world = new World({
            seed,
            budget: percent,
            slots: atOnce,
            advance: (ms) => vi.advanceTimersByTimeAsync(ms),
            metrics,
          });
          const wrong = await world.live(happenings);
          vi.clearAllTimers();
          expect(wrong).toEqual([]);
          lived += 1;
          if (lived % 10_000 === 0) process.stderr.write(`${lived}/${RUNS} histories\n`);
        },
      ),
      {
        numRuns: RUNS,
        seed: SEED,
        endOnFailure: true,
        examples: FOUND.map(([seed, happenings, percent]) => [seed, happenings, percent, 4]),
      },
    );
  },
  TIMEOUT_MS,
);
