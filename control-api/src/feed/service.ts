import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { asFeed } from '../db/tenant.ts';
import { type Admission, createAdmission } from './admission.ts';
import { compactTombstones } from './compaction.ts';
import { countHeldDeletions } from './held.ts';
import { HUB_DEFAULTS, Hub, type HubSettings } from './hub.ts';
import { checkLineage } from './lineage.ts';
import type { FeedMetrics, FeedTask } from './metrics.ts';
import { endOperationsOfDeletedDataPlanes, sweepOldRows } from './retention.ts';
import { createClaims } from './sessions.ts';
import { createDigests } from './verify.ts';
import { createWake, type FeedWake } from './wake.ts';

export interface FeedSettings extends HubSettings {
  maxStreams: number;
  /** Few: a crowd comes when its connections were lost, which costs this process enough in that moment. */
  hellosAtOnce: number;
  /** Admitted hellos that are not answered yet. */
  hellosUnderWay: number;
  /** A stream ends at a random age between these, so that load spreads over new processes. */
  minAgeMs: number;
  maxAgeMs: number;
  tombstoneRetentionMs: number;
  compactionMs: number;
}

export const FEED_DEFAULTS: FeedSettings = {
  ...HUB_DEFAULTS,
  maxStreams: 20_000,
  hellosAtOnce: 50,
  hellosUnderWay: 200,
  minAgeMs: 5 * 60_000,
  maxAgeMs: 10 * 60_000,
  tombstoneRetentionMs: 7 * 24 * 3_600_000,
  compactionMs: 60_000,
};

export interface FeedOptions {
  /** Pool of the felucca_feed role. */
  pool: Pool;
  metrics: FeedMetrics;
  logger: Logger;
  settings?: Partial<FeedSettings>;
  /** Monotonic milliseconds. */
  now?: () => number;
  random?: () => number;
}

/** The feed of one API process. */
export interface Feed {
  readonly wake: FeedWake;
  readonly hub: Hub;
  readonly claim: ReturnType<typeof createClaims>;
  readonly admission: Admission;
  /** Digests of all buckets of a data plane; undefined when there is none. */
  readonly digests: ReturnType<typeof createDigests>;
  readonly settings: FeedSettings;
  readonly pool: Pool;
  readonly metrics: FeedMetrics;
  readonly logger: Logger;
  readonly now: () => number;
  readonly random: () => number;
  /** Checks the database's lineage; may begin new epochs, so it comes before the first hello. */
  prepare(): Promise<void>;
  /** Listens for other processes, polls, compacts and sweeps. */
  start(): void;
  /** Asks every operator to reconnect elsewhere, then stops. */
  close(): Promise<void>;
}

export function createFeed(options: FeedOptions): Feed {
  const { pool, metrics, logger, now = () => performance.now(), random = Math.random } = options;
  const settings: FeedSettings = { ...FEED_DEFAULTS, ...options.settings };
  const hub = new Hub({ pool, metrics, settings, now, logger });
  const wake = createWake({
    pool,
    logger,
    random,
    onWake: (ids, source) => hub.wake(ids, source),
    onListening: (listening) => {
      metrics.listening.set(listening ? 1 : 0);
      // Whatever was notified meanwhile has been missed.
      if (listening)
        hub
          .poll()
          .catch((error) => logger.warn({ err: error }, 'poll after listening failed; it comes again'));
    },
  });
  let compactionTimer: NodeJS.Timeout | undefined;
  let compacting: Promise<void> | undefined;
  let closed = false;

  const attempt = async (task: FeedTask, what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      metrics.errors.inc({ task });
      logger.warn({ err: error }, `${what} failed; it comes again`);
    }
  };
  const keepHouse = async (): Promise<void> => {
    await attempt('compaction', 'compaction of tombstones', async () =>
      metrics.compacted.inc(await compactTombstones(pool, { retentionMs: settings.tombstoneRetentionMs })),
    );
    await attempt('retention', 'sweeping of old rows', async () => {
      await endOperationsOfDeletedDataPlanes(pool);
      await sweepOldRows(pool, (table, rows) => metrics.swept.inc({ table }, rows));
    });
    await attempt('held', 'counting of held deletions', async () =>
      metrics.held.set(await asFeed({ feed: pool }, (tx) => countHeldDeletions(tx))),
    );
  };
  const scheduleCompaction = (): void => {
    if (closed) return;
    // Jittered: several processes should not queue for the same rows.
    compactionTimer = setTimeout(
      () => {
        compacting = keepHouse().finally(scheduleCompaction);
      },
      settings.compactionMs * (0.5 + random()),
    );
  };

  return {
    wake,
    hub,
    claim: createClaims(pool),
    admission: createAdmission({
      perSecond: settings.hellosPerSecond,
      atOnce: settings.hellosAtOnce,
      underWay: settings.hellosUnderWay,
      now,
    }),
    digests: createDigests({ pool, metrics, logger }),
    settings,
    pool,
    metrics,
    logger,
    now,
    random,
    prepare: async () => {
      const minted = await checkLineage(pool);
      if (minted > 0) {
        metrics.epochs.inc({ reason: 'lineage' }, minted);
        logger.warn(
          { dataPlanes: minted },
          'the database has another history than before; new epochs were minted',
        );
      }
    },
    start: () => {
      wake.start();
      hub.start(() => wake.probe());
      scheduleCompaction();
    },
    close: async () => {
      closed = true;
      clearTimeout(compactionTimer);
      hub.drainAll();
      await Promise.all([compacting, hub.endSessions(), wake.close()]);
    },
  };
}
