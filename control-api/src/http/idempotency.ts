import { canonicalJson } from '@felucca/contract';
import type { FastifyRequest } from 'fastify';
import { sqlState, UNIQUE_VIOLATION } from '../db/errors.ts';
import type { KeyedHash } from '../db/keyed-hash.ts';
import { type Database, type TenantTx, withTenant } from '../db/tenant.ts';
import { Problem } from './problems.ts';

/** What a mutation answers; kept under its Idempotency-Key and replayed. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: unknown;
}

interface StoredAnswer {
  fingerprint: string;
  status: number;
  headers: Record<string, string> | null;
  body: unknown;
}

const KEY_PATTERN = /^[\x21-\x7e]{1,128}$/;

/**
 * Runs one mutation in one tenant transaction. With an `Idempotency-Key` the answer is written in the same
 * transaction, so key and effect exist together or not at all; a second request with the key gets the first one's answer.
 * @throws Problem IDEMPOTENCY_MISMATCH when the key came with another request
 */
export async function mutate(
  { db, hash }: { db: Database; hash: KeyedHash },
  tenantId: string,
  request: FastifyRequest,
  work: (tx: TenantTx) => Promise<Answer>,
): Promise<Answer & { replayed: boolean }> {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return { ...(await withTenant(db, tenantId, work)), replayed: false };
  if (typeof key !== 'string' || !KEY_PATTERN.test(key))
    throw new Problem(
      'MALFORMED',
      'Idempotency-Key must be 1 to 128 printable characters without spaces, for example a UUID.',
    );
  const fingerprint = fingerprintOf(hash, request);
  try {
    return await withTenant(db, tenantId, async (tx) => {
      const stored = await findAnswer(tx, key);
      if (stored) return replay(stored, fingerprint);
      await claimKey(tx, key, fingerprint);
      const answer = await work(tx);
      await keepAnswer(tx, key, answer);
      return { ...answer, replayed: false };
    });
  } catch (error) {
    // A twin committed while we waited for its uncommitted row: its answer is ours.
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
    const stored = await withTenant(db, tenantId, (tx) => findAnswer(tx, key));
    if (!stored) throw error;
    return replay(stored, fingerprint);
  }
}

/** Keyed: the body may hold a password, which a bare hash would let anybody guess who reads the table. */
const fingerprintOf = (hash: KeyedHash, { method, url, body }: FastifyRequest): string =>
  hash('idempotency', `${method} ${url}\n${canonicalJson(body ?? null)}`);

function replay(stored: StoredAnswer, fingerprint: string): Answer & { replayed: boolean } {
  if (stored.fingerprint !== fingerprint)
    throw new Problem(
      'IDEMPOTENCY_MISMATCH',
      'This Idempotency-Key came with another request; use a new key for a new request.',
    );
  return { status: stored.status, headers: stored.headers ?? {}, body: stored.body, replayed: true };
}

async function findAnswer(tx: TenantTx, key: string): Promise<StoredAnswer | undefined> {
  const { rows } = await tx.query<StoredAnswer>({
    text: `SELECT fingerprint, status, headers, body FROM felucca.idempotency_keys
            WHERE tenant_id = $1 AND key = $2 AND created_at >= now() - interval '24 hours'`,
    values: [tx.tenantId, key],
    isRead: true,
  });
  return rows[0];
}

/** Forgets the key if it is older than a day; what nobody sends again is swept (feed/retention.ts). */
async function claimKey(tx: TenantTx, key: string, fingerprint: string): Promise<void> {
  await Promise.all([
    tx.query({
      text: `DELETE FROM felucca.idempotency_keys
              WHERE tenant_id = $1 AND key = $2 AND created_at < now() - interval '24 hours'`,
      values: [tx.tenantId, key],
    }),
    tx.query({
      text: 'INSERT INTO felucca.idempotency_keys (tenant_id, key, fingerprint) VALUES ($1, $2, $3)',
      values: [tx.tenantId, key, fingerprint],
    }),
  ]);
}

async function keepAnswer(tx: TenantTx, key: string, answer: Answer): Promise<void> {
  await tx.query({
    text: `UPDATE felucca.idempotency_keys SET status = $3, headers = $4, body = $5
            WHERE tenant_id = $1 AND key = $2`,
    values: [tx.tenantId, key, answer.status, JSON.stringify(answer.headers), JSON.stringify(answer.body)],
  });
}
