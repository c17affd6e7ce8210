import type { Pool, PoolClient, QueryResult, QueryResultRow } from 'pg';

/** Tenant id of rows that belong to nobody: Blueprints, data planes, platform keys and their audit. */
export const PLATFORM_TENANT = '00000000-0000-0000-0000-000000000000';

/** What a statement is: text with $1…, and values. One function per statement, beside its row type. */
export interface Statement {
  text: string;
  values?: unknown[];
}

export interface Transaction {
  query<Row extends QueryResultRow>(statement: Statement): Promise<QueryResult<Row>>;
}

declare const tenantBrand: unique symbol;
declare const feedBrand: unique symbol;

/** A transaction that sees exactly one tenant. Only withTenant() and withPlatform() make one. */
export interface TenantTx extends Transaction {
  readonly tenantId: string;
  readonly [tenantBrand]: true;
}

/** A transaction of the feed role: across tenants, on the link's tables only. Only asFeed() makes one. */
export interface FeedTx extends Transaction {
  readonly [feedBrand]: true;
}

export interface Database {
  readonly app: Pool;
  readonly feed: Pool;
}

/**
 * Runs `work` in one transaction that row-level security confines to `tenantId`. The setting is local to the
 * transaction: a pooled connection never carries one tenant's context into the next request.
 */
export function withTenant<T>(
  db: Database,
  tenantId: string,
  work: (tx: TenantTx) => Promise<T>,
): Promise<T> {
  return transaction(
    db.app,
    [{ text: "SELECT set_config('app.tenant_id', $1, true)", values: [tenantId] }],
    (client) => work({ tenantId, query: (statement) => client.query(statement) } as TenantTx),
  );
}

/** The platform's own transaction: data planes, Blueprints, organizations. It sees no tenant's rows. */
export function withPlatform<T>(db: Database, work: (tx: TenantTx) => Promise<T>): Promise<T> {
  return withTenant(db, PLATFORM_TENANT, work);
}

/** Looks at the one API key whose id was presented; its tenant is not known yet. */
export function withPresentedKey<T>(
  db: Database,
  keyId: string,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  return transaction(
    db.app,
    [{ text: "SELECT set_config('app.key_id', $1, true)", values: [keyId] }],
    (client) => work({ query: (statement) => client.query(statement) }),
  );
}

/** Cross-tenant by design: the feed and the reports of data planes. */
export function asFeed<T>(db: Pick<Database, 'feed'>, work: (tx: FeedTx) => Promise<T>): Promise<T> {
  return transaction(db.feed, [], (client) =>
    work({ query: (statement: Statement) => client.query(statement) } as unknown as FeedTx),
  );
}

async function transaction<T>(
  pool: Pool,
  context: Statement[],
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    // They go out together: with pipelining the context costs no round trip of its own.
    await Promise.all([client.query('BEGIN'), ...context.map((statement) => client.query(statement))]);
    const result = await work(client);
    const commit = await client.query('COMMIT');
    // COMMIT of a failed transaction answers ROLLBACK and no error.
    if (commit.command !== 'COMMIT')
      throw new Error('the transaction was rolled back; a statement in it had failed');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch((rollbackError: Error) => {
      broken = rollbackError;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}
