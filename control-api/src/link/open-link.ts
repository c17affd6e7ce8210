import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { KeyedHash } from '../db/keyed-hash.ts';
import type { Database } from '../db/tenant.ts';
import { createFeedMetrics } from '../feed/metrics.ts';
import { createFeed, type FeedSettings } from '../feed/service.ts';
import type { RowSigner } from '../feed/signer.ts';
import { feedPlugin } from '../feed/sync-route.ts';
import type { FeedWake } from '../feed/wake.ts';
import { createFeedbackMetrics } from '../feedback/metrics.ts';
import { feedbackPlugin, type ReportLimits } from '../feedback/plugin.ts';
import { createOperatorAuth } from './authenticate.ts';
import { createLinkMetrics } from './metrics.ts';
import type { OutputKey } from './output-key.ts';
import { linkPlugin } from './plugin.ts';

export interface LinkOptions {
  db: Database;
  signer: RowSigner;
  hash: KeyedHash;
  outputKey: OutputKey;
  registry: Registry;
  logger: Logger;
  random: () => number;
  nowMs: () => number;
  now: () => Date;
  settings?: Partial<FeedSettings>;
  reportLimits?: Partial<ReportLimits>;
}

/** Everything between this process and the operators: join, credentials, feed, reports. */
export interface Link {
  readonly wake: FeedWake;
  register(app: FastifyInstance): Promise<void>;
  /** Listens for other processes, polls, compacts. */
  start(): Promise<void>;
  /** Asks every operator to reconnect elsewhere; new ones are refused. Closing the app stops the rest. */
  drain(): Promise<void>;
}

/** Checks the database's lineage before any operator is answered: this may begin new epochs. */
export async function openLink(options: LinkOptions): Promise<Link> {
  const { db, signer, hash, outputKey, registry, logger, random, nowMs, now } = options;
  const { settings = {}, reportLimits = {} } = options;
  const metrics = createLinkMetrics(registry);
  const feed = createFeed({
    pool: db.feed,
    metrics: createFeedMetrics(registry),
    logger,
    settings,
    now: nowMs,
    random,
  });
  const auth = createOperatorAuth({ pool: db.feed, metrics, date: now, now: nowMs });
  const feedbackMetrics = createFeedbackMetrics(registry);
  await feed.prepare();
  return {
    wake: feed.wake,
    register: async (app) => {
      // Tenants' transactions go on while streams drain, and their wake-ups must still reach other processes.
      app.addHook('onClose', () => feed.close());
      await app.register(linkPlugin, { pool: db.feed, signer, hash, metrics, nowMs });
      await app.register(feedPlugin, { feed, auth });
      await app.register(feedbackPlugin, {
        db,
        hash,
        signer,
        wake: feed.wake,
        outputKey,
        auth,
        metrics: feedbackMetrics,
        now: nowMs,
        random,
        limits: reportLimits,
      });
    },
    start: async () => feed.start(),
    drain: async () => void feed.hub.drainAll(),
  };
}
