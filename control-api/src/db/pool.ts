import pg from 'pg';
import type { Database } from './tenant.ts';

export interface PoolOptions {
  appUrl: string;
  feedUrl: string;
  /** Connections per pool. */
  size?: number;
  onError: (error: Error) => void;
}

export function openDatabase(options: PoolOptions): Database & { close(): Promise<void> } {
  const open = (connectionString: string, name: string) => {
    const pool = new pg.Pool({
      connectionString,
      application_name: name,
      max: options.size ?? 16,
      connectionTimeoutMillis: 5_000,
      // Statements that do not wait for each other share a round trip: BEGIN and the tenant's context cost none.
      pipeline: true,
      idleTimeoutMillis: 30_000,
      // Safety net under the per-transaction timeouts: a stuck transaction stalls a data plane's counter.
      idle_in_transaction_session_timeout: 15_000,
      // A connection that died without saying so must not hold a request, or the feed, for ever.
      query_timeout: 20_000,
    });
    // An idle connection that the server ends is not a reason to end the process.
    pool.on('error', options.onError);
    return pool;
  };
  const app = open(options.appUrl, 'felucca-app');
  const feed = open(options.feedUrl, 'felucca-feed');
  return { app, feed, close: async () => void (await Promise.all([app.end(), feed.end()])) };
}

/**
 * Refuses a role that row-level security would not hold.
 * @throws naming the role, what is wrong and what to do
 */
export async function assertConfined(db: Database): Promise<void> {
  for (const pool of [db.app, db.feed]) {
    const { rows } = await pool.query<{ name: string; super: boolean; bypass: boolean; owns: string | null }>(
      `SELECT r.rolname AS name, r.rolsuper AS super, r.rolbypassrls AS bypass,
              (SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'felucca' AND c.relkind = 'r' AND pg_has_role(r.oid, c.relowner, 'USAGE')
                LIMIT 1) AS owns
         FROM pg_roles r WHERE r.rolname = current_user`,
    );
    const role = rows[0];
    if (!role) throw new Error('the current role is not in pg_roles; check the database URLs');
    const fault = role.super
      ? 'is a superuser'
      : role.bypass
        ? 'has BYPASSRLS'
        : role.owns
          ? `owns ${role.owns}`
          : '';
    if (fault !== '')
      throw new Error(
        `role "${role.name}" ${fault}, so row-level security would not separate tenants; ` +
          'connect as felucca_app and felucca_feed (FELUCCA_APP_DATABASE_URL, FELUCCA_FEED_DATABASE_URL)',
      );
  }
}
