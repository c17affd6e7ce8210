import { createHash } from 'node:crypto';
import { JOIN_TOKEN_PATTERN, type JoinReply, type JoinRequest } from '@felucca/contract';
import type { Pool, PoolClient } from 'pg';
import { isSameHash, type KeyedHash } from '../db/keyed-hash.ts';
import { PLATFORM_TENANT } from '../db/tenant.ts';
import { joinTokenHash } from './join-token-hash.ts';
import { keepSealingKey } from './sealing-key.ts';

/** `fj_<id, 32 hex>_<secret>` */
const SECRET_START = 36;

/** The key's name follows from data plane and key, so a repeated join finds the same one. */
export const operatorKeyId = (dataPlaneId: string, publicKey: string): string =>
  `ok_${createHash('sha256').update(`${dataPlaneId}\n${publicKey}`).digest('hex').slice(0, 32)}`;

/** After a rotation the old key still works this long: replicas pick the new one up from their Secret. */
const OVERLAP = '5 minutes';

const REDEEM = `
  UPDATE felucca.join_tokens t SET used_at = now(), used_by_key = $3
  FROM felucca.data_planes p
  WHERE t.id = $1 AND t.secret_hash = $2 AND t.used_at IS NULL AND t.expires_at > now()
    AND p.id = t.data_plane_id AND p.deleted_at IS NULL
  RETURNING p.id AS data_plane_id`;

export type JoinOutcome =
  | { result: 'joined' | 'repeated'; reply: Omit<JoinReply, 'signingKeys'> }
  | { result: 'refused' }
  | { result: 'revoked_key' }
  /** The token is good, and the operator's cluster is another data plane. */
  | { result: 'other_data_plane'; isFor: string; is: string };

/**
 * Redeems a one-time token: the conditional UPDATE has one winner. The same public key may repeat the
 * join (its answer may have got lost); that tells nobody anything and changes nothing.
 */
export async function redeemJoinToken(
  pool: Pool,
  keyedHash: KeyedHash,
  request: JoinRequest,
): Promise<JoinOutcome> {
  if (!JOIN_TOKEN_PATTERN.test(request.token)) return { result: 'refused' };
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const outcome = await redeem(client, keyedHash, request);
    if (outcome.result === 'joined' && request.sealingKey)
      await keepSealingKey(client, keyedHash, outcome.reply.dataPlaneId, request.sealingKey);
    await client.query(outcome.result === 'joined' ? 'COMMIT' : 'ROLLBACK');
    return outcome;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  } finally {
    client.release();
  }
}

async function redeem(client: PoolClient, keyedHash: KeyedHash, request: JoinRequest): Promise<JoinOutcome> {
  const tokenId = request.token.slice(3, SECRET_START - 1);
  const { rows: tokens } = await client.query<{
    data_plane_id: string;
    name: string;
    secret_hash: Buffer;
    used_by_key: string | null;
  }>(
    `SELECT t.data_plane_id, p.name, t.secret_hash, t.used_by_key
     FROM felucca.join_tokens t JOIN felucca.data_planes p ON p.id = t.data_plane_id
     WHERE t.id = $1 AND p.deleted_at IS NULL`,
    [tokenId],
  );
  const [token] = tokens;
  if (!token) return { result: 'refused' };
  const dataPlaneId = token.data_plane_id;
  const hash = joinTokenHash(keyedHash, tokenId, dataPlaneId, request.token.slice(SECRET_START));
  if (!isSameHash(token.secret_hash, hash)) return { result: 'refused' };
  if (request.dataPlaneId !== undefined && request.dataPlaneId !== dataPlaneId)
    return { result: 'other_data_plane', isFor: token.name, is: await nameOf(client, request.dataPlaneId) };
  const keyId = operatorKeyId(dataPlaneId, request.publicKey);
  const reply = { dataPlaneId, dataPlaneName: token.name, keyId };
  const won = await client.query(REDEEM, [tokenId, hash, keyId]);
  if (!won.rowCount) return repeated(client, tokenId, reply);
  const registered = await client.query(
    `INSERT INTO felucca.operator_keys AS k (id, data_plane_id, public_key) VALUES ($1, $2, $3)
     ON CONFLICT (id) DO UPDATE SET created_at = now(), revoked_at = NULL
       WHERE k.revoked_at IS NULL OR k.revoked_at > now()
     RETURNING id`,
    [keyId, dataPlaneId, request.publicKey],
  );
  // A revoked key may be in wrong hands: a new token does not make it good again.
  if (!registered.rowCount) return { result: 'revoked_key' };
  await client.query(
    `UPDATE felucca.operator_keys SET revoked_at = now() + interval '${OVERLAP}'
     WHERE data_plane_id = $1 AND id <> $2 AND (revoked_at IS NULL OR revoked_at > now() + interval '${OVERLAP}')`,
    [dataPlaneId, keyId],
  );
  await client.query(
    'UPDATE felucca.data_planes SET joined_at = now(), operator_version = $2 WHERE id = $1',
    [dataPlaneId, request.operatorVersion],
  );
  await client.query(
    `INSERT INTO felucca.audit (tenant_id, id, actor, action, object, detail)
     VALUES ($1, gen_random_uuid(), $2, 'data-plane.join', $3, $4)`,
    [
      PLATFORM_TENANT,
      `join-token:${tokenId}`,
      `data-plane/${token.name}`,
      JSON.stringify({ key: keyId, instance: request.instance, operatorVersion: request.operatorVersion }),
    ],
  );
  return { result: 'joined', reply };
}

async function nameOf(client: PoolClient, dataPlaneId: string): Promise<string> {
  const { rows } = await client.query<{ name: string }>(
    'SELECT name FROM felucca.data_planes WHERE id::text = $1',
    [dataPlaneId],
  );
  return rows[0]?.name ?? `one that this control plane does not know (${dataPlaneId})`;
}

async function repeated(
  client: PoolClient,
  tokenId: string,
  reply: Omit<JoinReply, 'signingKeys'>,
): Promise<JoinOutcome> {
  const { rowCount } = await client.query(
    `SELECT FROM felucca.join_tokens t JOIN felucca.operator_keys k ON k.id = t.used_by_key
     WHERE t.id = $1 AND t.used_by_key = $2 AND (k.revoked_at IS NULL OR k.revoked_at > now())`,
    [tokenId, reply.keyId],
  );
  return rowCount ? { result: 'repeated', reply } : { result: 'refused' };
}
