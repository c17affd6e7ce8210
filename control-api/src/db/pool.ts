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
      // On the server, for single statements too: nothing runs, waits or idles in a transaction without a bound,
      // and a stuck transaction would stall a data plane's counter.
      statement_timeout: 10_000,
      lock_timeout: 5_000,
      idle_in_transaction_session_timeout: 15_000,
      // A connection that died without saying so must not hold a request, or the feed, for ever.
      query_timeout: 12_000,
    });
    // A connection that the server ends is not a reason to end the process: the pool tells of idle ones, and while one is in
    // use nobody listens but its statements, of which there may be none at that moment.
    pool.on('error', options.onError);
    pool.on('connect', (client) => client.on('error', ignored));
    return pool;
  };
  const app = open(options.appUrl, 'felucca-app');
  const feed = open(options.feedUrl, 'felucca-feed');
  return { app, feed, close: async () => void (await Promise.all([app.end(), feed.end()])) };
}

/** Whoever uses the connection gets the error with the next statement. */
const ignored = (): void => undefined;

/** Who a pool connects as, and what that role could do beyond one tenant. Membership counts: SET ROLE is one statement. */
const CONFINEMENT = `
  SELECT r.rolname AS name,
    (SELECT m.rolname FROM pg_roles m WHERE m.rolsuper AND pg_has_role(r.oid, m.oid, 'MEMBER')
      ORDER BY m.oid <> r.oid LIMIT 1) AS superuser,
    (SELECT m.rolname FROM pg_roles m WHERE m.rolbypassrls AND pg_has_role(r.oid, m.oid, 'MEMBER')
      ORDER BY m.oid <> r.oid LIMIT 1) AS bypassing,
    (SELECT c.relname FROM pg_class c
      WHERE c.relnamespace = 'felucca'::regnamespace AND c.relkind IN ('r', 'p')
        AND pg_has_role(r.oid, c.relowner, 'MEMBER') LIMIT 1) AS owned,
    (SELECT c.relname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
      WHERE c.relnamespace = 'felucca'::regnamespace AND p.polpermissive
        AND pg_get_expr(p.polqual, p.polrelid) = 'true'
        AND EXISTS (SELECT FROM unnest(p.polroles) AS held(role)
                     WHERE held.role = 0 OR pg_has_role(r.oid, held.role, 'MEMBER'))
      LIMIT 1) AS unfiltered
    FROM pg_roles r WHERE r.rolname = current_user`;

interface Confinement {
  name: string;
  superuser: string | null;
  bypassing: string | null;
  owned: string | null;
  /** A table of which a policy shows the role all rows: right for the feed, never for tenants' requests. */
  unfiltered: string | null;
}

/**
 * Refuses a role that row-level security would not hold.
 * @throws naming the role, what is wrong and what to do
 */
export async function assertConfined(db: Database): Promise<void> {
  for (const pool of [db.app, db.feed]) {
    const { rows } = await pool.query<Confinement>(CONFINEMENT);
    const role = rows[0];
    if (!role) throw new Error('the current role is not in pg_roles; check the database URLs');
    const fault = faultOf(role, pool === db.app);
    if (fault !== undefined)
      throw new Error(
        `role "${role.name}" ${fault}, so row-level security would not separate tenants; ` +
          'connect as felucca_app and felucca_feed (FELUCCA_APP_DATABASE_URL, FELUCCA_FEED_DATABASE_URL)',
      );
  }
}

function faultOf(role: Confinement, servesTenants: boolean): string | undefined {
  const { name, superuser, bypassing, owned, unfiltered } = role;
  const itself = (other: string, is: string, may: string) => (other === name ? is : `${may} "${other}"`);
  if (superuser) return itself(superuser, 'is a superuser', 'may become the superuser');
  if (bypassing) return itself(bypassing, 'has BYPASSRLS', 'may become the BYPASSRLS role');
  if (owned) return `owns ${owned}, or may become its owner`;
  if (servesTenants && unfiltered) return `sees the rows of all tenants in ${unfiltered}`;
  return undefined;
}
