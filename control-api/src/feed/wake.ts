import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { Logger } from 'pino';

/** Business transactions call this after their commit, never inside: NOTIFY in a transaction costs 77 % of all commits. */
export interface FeedWake {
  committed(dataPlaneIds: readonly string[]): void;
}

export const FEED_CHANNEL = 'felucca_feed';
/** A payload must stay below 8,000 bytes; an id and a space are 37. */
const IDS_PER_NOTIFICATION = 200;
/** Beyond this the safety poll is quicker than the notifications. */
const MAX_PENDING = 20_000;
const COALESCE_MS = 5;
const CONNECT_TIMEOUT_MS = 5_000;

export interface WakeOptions {
  /** Only its connection settings are used: both connections here are our own. */
  pool: pg.Pool;
  onWake: (dataPlaneIds: readonly string[], source: 'local' | 'notify') => void;
  /** Notifications may have been missed up to now. */
  onListening: (listening: boolean) => void;
  random: () => number;
  logger: Logger;
}

export interface Wake extends FeedWake {
  start(): void;
  /** Fails when the listening connection is dead without having said so. */
  probe(): Promise<void>;
  close(): Promise<void>;
}

/**
 * A wake-up carries no data and may be lost: it only says where to look. This process is woken
 * directly, the others by one NOTIFY for everything committed within 5 ms.
 */
export function createWake(options: WakeOptions): Wake {
  const processId = randomUUID();
  const notifier = createNotifier(options, processId);
  const listener = createListener(options, processId);
  return {
    committed: (ids) => {
      options.onWake(ids, 'local');
      notifier.add(ids);
    },
    start: () => listener.start(),
    probe: () => listener.probe(),
    close: async () => {
      await Promise.all([listener.close(), notifier.close()]);
    },
  };
}

function ownClient(pool: pg.Pool, name: string): pg.Client {
  return new pg.Client({
    // Object.assign would lose the password, which pg-pool keeps non-enumerable.
    ...pool.options,
    ...(pool.options.password === undefined ? {} : { password: pool.options.password }),
    ...(pool.options.ssl === undefined ? {} : { ssl: pool.options.ssl }),
    application_name: name,
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: CONNECT_TIMEOUT_MS,
  });
}

function createNotifier(options: WakeOptions, processId: string) {
  const { pool, logger } = options;
  const pending = new Set<string>();
  let client: pg.Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;
  let closed = false;

  const connect = async (): Promise<pg.Client> => {
    const fresh = ownClient(pool, 'felucca-notify');
    fresh.on('error', () => {
      if (client === fresh) client = undefined;
    });
    await fresh.connect();
    client = fresh;
    return fresh;
  };
  const send = async (): Promise<void> => {
    const ids = [...pending];
    pending.clear();
    const payloads: string[] = [];
    for (let start = 0; start < ids.length; start += IDS_PER_NOTIFICATION)
      payloads.push([processId, ...ids.slice(start, start + IDS_PER_NOTIFICATION)].join(' '));
    try {
      const connected = client ?? (await connect());
      await connected.query('SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload', [
        FEED_CHANNEL,
        payloads,
      ]);
    } catch (error) {
      logger.warn(
        { err: error },
        'feed notification lost; other API processes see the change at their next poll',
      );
      client?.end().catch(() => {});
      client = undefined;
    }
  };
  const schedule = (): void => {
    if (timer || sending || closed || pending.size === 0) return;
    timer = setTimeout(() => {
      timer = undefined;
      sending = send().finally(() => {
        sending = undefined;
        schedule();
      });
    }, COALESCE_MS);
  };
  return {
    add: (ids: readonly string[]): void => {
      for (const id of ids) if (pending.size < MAX_PENDING) pending.add(id);
      schedule();
    },
    close: async (): Promise<void> => {
      closed = true;
      clearTimeout(timer);
      await sending;
      if (pending.size > 0) await send();
      await client?.end().catch(() => {});
    },
  };
}

function createListener(options: WakeOptions, processId: string) {
  const { pool, onWake, onListening, random, logger } = options;
  let client: pg.Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let connecting: Promise<void> | undefined;
  let attempt = 0;
  let closed = false;

  const lost = (which: pg.Client, error?: Error): void => {
    if (client !== which) return;
    client = undefined;
    which.end().catch(() => {});
    onListening(false);
    if (closed) return;
    logger.warn(
      { err: error },
      'feed listener lost its connection; the safety poll carries the feed meanwhile',
    );
    retry();
  };
  const retry = (): void => {
    const windowMs = Math.min(5_000, 50 * 2 ** Math.min(attempt, 10));
    attempt += 1;
    timer = setTimeout(open, random() * windowMs);
  };
  const open = (): void => {
    connecting = connect()
      .catch((error: Error) => {
        logger.warn({ err: error }, 'feed listener could not connect; retrying');
        if (!closed) retry();
      })
      .finally(() => {
        connecting = undefined;
      });
  };
  const connect = async (): Promise<void> => {
    const fresh = ownClient(pool, 'felucca-listen');
    fresh.on('error', (error) => lost(fresh, error));
    fresh.on('end', () => lost(fresh));
    fresh.on('notification', ({ payload }) => {
      const [sender, ...ids] = (payload ?? '').split(' ');
      if (sender !== processId) onWake(ids, 'notify');
    });
    try {
      await fresh.connect();
      await fresh.query(`LISTEN ${FEED_CHANNEL}`);
    } catch (error) {
      fresh.end().catch(() => {});
      throw error;
    }
    if (closed) return void (await fresh.end());
    client = fresh;
    attempt = 0;
    onListening(true);
  };
  return {
    start: open,
    probe: async (): Promise<void> => {
      const probed = client;
      if (!probed) return;
      try {
        await probed.query('SELECT 1');
      } catch (error) {
        lost(probed, error as Error);
      }
    },
    close: async (): Promise<void> => {
      closed = true;
      clearTimeout(timer);
      await connecting;
      const last = client;
      client = undefined;
      await last?.end().catch(() => {});
    },
  };
}
