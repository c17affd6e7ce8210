import type { FeedKind } from '@felucca/contract';
import type { FeedTx } from '../../db/tenant.ts';
import { HELD_CODE } from './held-queries.ts';

/** Questions about a whole data plane cross tenants, so they are asked as the feed role. Lists are bounded. */
const LIST_LIMIT = 1_000;

export async function countDataPlaneInstances(tx: FeedTx, dataPlaneId: string): Promise<number> {
  const { rows } = await tx.query<{ count: number }>({
    text: 'SELECT count(*)::int AS count FROM felucca.instances WHERE data_plane_id = $1 AND deleted_at IS NULL',
    values: [dataPlaneId],
  });
  return rows[0]?.count ?? 0;
}

interface LocalRow {
  key: string;
  id: string;
  blueprint: string | null;
  conditions: unknown[];
  reported_at: Date;
}

export async function listLocalInstances(tx: FeedTx, dataPlaneId: string) {
  const { rows } = await tx.query<LocalRow>({
    text: `SELECT key, id, blueprint, conditions, reported_at FROM felucca.observed
            WHERE data_plane_id = $1 AND kind = 'Instance' AND local AND NOT deleted ORDER BY key LIMIT $2`,
    values: [dataPlaneId, LIST_LIMIT],
  });
  return rows.map(({ blueprint, reported_at, ...row }) => ({
    ...row,
    local: true,
    ...(blueprint ? { blueprint } : {}),
    reportedAt: reported_at.toISOString(),
  }));
}

export interface RefusedRow {
  kind: FeedKind;
  key: string;
  /** The next owner of a name may be refused beside the former one. */
  id: string;
  revision: string;
  code: string;
  message: string;
  retryable: boolean;
  at: Date;
}

/** Held deletions are refused too, and have a list of their own. */
export async function listRefusedRows(tx: FeedTx, dataPlaneId: string) {
  const { rows } = await tx.query<RefusedRow & Record<string, unknown>>({
    text: `SELECT kind, key, id, rev::text AS revision, code, message, retryable, at FROM felucca.nacks
            WHERE data_plane_id = $1 AND code <> $2 ORDER BY kind, key, id LIMIT $3`,
    values: [dataPlaneId, HELD_CODE, LIST_LIMIT],
  });
  return rows.map(({ at, ...row }) => ({ ...row, at: at.toISOString() }));
}
