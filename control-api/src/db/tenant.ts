import type { Writable } from 'node:stream';
import { escapeLiteral, type Pool, type PoolClient, type QueryResult, type QueryResultRow } from 'pg';

/** Tenant id of rows that belong to nobody: Blueprints, data planes, platform keys and their audit. */
export const PLATFORM_TENANT = '00000000-0000-0000-0000-000000000000';

/** What a statement is: text with $1…, and values. One function per statement, beside its row type. */
export interface Statement {
  text: string;
  values?: unknown[];
  /** It writes nothing, so that it may be sent along with BEGIN, before that is known to have worked. */
  isRead?: true;
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
  return inTenant(db, 'BEGIN', tenantId, work);
}

/** The same for whoever only reads. */
export function readTenant<T>(
  db: Database,
  tenantId: string,
  work: (tx: TenantTx) => Promise<T>,
): Promise<T> {
  return inTenant(db, 'BEGIN READ ONLY', tenantId, work);
}

function inTenant<T>(
  db: Database,
  begin: Begin,
  tenantId: string,
  work: (tx: TenantTx) => Promise<T>,
): Promise<T> {
  return transaction(db.app, begin, { name: 'app.tenant_id', value: tenantId }, (tx) =>
    work({ tenantId, ...tx } as TenantTx),
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
  return transaction(db.app, 'BEGIN READ ONLY', { name: 'app.key_id', value: keyId }, work);
}

/** Cross-tenant by design: the feed and the reports of data planes. */
export function asFeed<T>(db: Pick<Database, 'feed'>, work: (tx: FeedTx) => Promise<T>): Promise<T> {
  return transaction(db.feed, 'BEGIN', undefined, (tx) => work(tx as FeedTx));
}

/** Single statements on tables that are nobody's, and that need no transaction: one round trip instead of three. */
export const outsideTransactions = (db: Database): Transaction => ({
  query: (statement) => db.app.query(prepared(statement)),
});

/**
 * Waits for statements that were sent without waiting for each other, which share a round trip. After one that fails the
 * others of its transaction fail too, and say nothing: the first in order is thrown.
 */
export async function together<T extends readonly unknown[]>(
  statements: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  const settled = await Promise.allSettled(statements);
  for (const one of settled) if (one.status === 'rejected') throw one.reason;
  return settled.map((one) => (one as PromiseFulfilledResult<unknown>).value) as unknown as T;
}

/** Texts are constants, so there are as many names as this program has statements. */
const names = new Map<string, string>();

/** A connection parses and plans each text once: planning the larger ones takes longer than running them. */
function prepared({ text, values }: Statement): Statement & { name: string } {
  let name = names.get(text);
  if (name === undefined) {
    name = `felucca_${names.size}`;
    names.set(text, name);
  }
  return values === undefined ? { name, text } : { name, text, values };
}

function send<Row extends QueryResultRow>(
  client: PoolClient,
  statement: Statement,
): Promise<QueryResult<Row>> {
  inOneWrite(client);
  return client.query<Row>(prepared(statement));
}

/** What is sent in this turn of the loop leaves as one packet: a packet for each statement wakes the server as often. */
function inOneWrite(client: PoolClient): void {
  const { stream } = (client as unknown as { connection: { stream: Writable } }).connection;
  if (stream.writableCorked > 0) return;
  stream.cork();
  process.nextTick(() => stream.uncork());
}

type Begin = 'BEGIN' | 'BEGIN READ ONLY';

/** A setting of the transaction that row-level security asks for. */
interface Context {
  name: 'app.tenant_id' | 'app.key_id';
  value: string;
}

/** In one message: its answer wakes this process once. */
const beginning = (begin: Begin, context: Context | undefined): string =>
  context === undefined ? begin : `${begin}; SET LOCAL ${context.name} = ${escapeLiteral(context.value)}`;

async function transaction<T>(
  pool: Pool,
  begin: Begin,
  context: Context | undefined,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    inOneWrite(client);
    let hasBegun = begin === 'BEGIN READ ONLY';
    const begun = client.query(beginning(begin, context)).then(() => {
      hasBegun = true;
    });
    const query: Transaction['query'] = async (statement) => {
      // Outside of a transaction a write would stay. What only reads goes along with BEGIN and saves its round trip.
      if (!hasBegun && !statement.isRead) await begun;
      return send(client, statement);
    };
    const [, result] = await together([begun, work({ query })]);
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
