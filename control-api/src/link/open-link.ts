import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Database } from '../db/tenant.ts';
import { createFeedMetrics } from '../feed/metrics.ts';
import { createFeed } from '../feed/service.ts';
import type { RowSigner } from '../feed/signer.ts';
import { feedPlugin } from '../feed/sync-route.ts';
import type { FeedWake } from '../feed/wake.ts';
import { createFeedbackMetrics } from '../feedback/metrics.ts';
import { feedbackPlugin } from '../feedback/plugin.ts';
import { createOperatorAuth } from './authenticate.ts';
import { createLinkMetrics } from './metrics.ts';
import { linkPlugin } from './plugin.ts';

export interface LinkOptions {
  db: Database;
  signer: RowSigner;
  registry: Registry;
  logger: Logger;
  random: () => number;
  nowMs: () => number;
  now: () => Date;
}

export interface Link {
  readonly wake: FeedWake;
  /** Adds the routes of the operators' side. */
  register(app: FastifyInstance): Promise<void>;
  start(): Promise<void>;
  /** Asks operators to come back to another process, then ends their streams. */
  drain(): Promise<void>;
}

/** The operators' side of the API, put together: feed, reports and join share one identity check. */
export function openLink(options: LinkOptions): Link {
  const { db, signer, registry, logger, random, nowMs, now } = options;
  const metrics = createLinkMetrics(registry);
  const feed = createFeed({
    pool: db.feed,
    metrics: createFeedMetrics(registry),
    logger,
    now: nowMs,
    random,
  });
  const auth = createOperatorAuth({ pool: db.feed, metrics, date: now, now: nowMs });
  const feedbackMetrics = createFeedbackMetrics(registry);
  return {
    wake: feed.wake,
    async register(app) {
      await app.register(linkPlugin, { pool: db.feed, signer, metrics });
      await app.register(feedPlugin, { feed, auth });
      await app.register(feedbackPlugin, { db, auth, metrics: feedbackMetrics, now: nowMs });
    },
    start: () => feed.start(),
    drain: () => feed.close(),
  };
}
