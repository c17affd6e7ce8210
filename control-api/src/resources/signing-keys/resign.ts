import { digestOf } from '@felucca/contract';
import { asFeed, withTenant } from '../../db/tenant.ts';
import { commitToFeed } from '../desired.ts';
import type { Services } from '../services.ts';
import { listSignedByOthers, type SignedRow } from './queries.ts';

const PAGE = 200;
/** Of one call; whoever asks goes on with the rest. */
const MAX_ROWS = 5_000;

export interface Resigned {
  resigned: number;
  /** Whose signature is not that of a key we have, or not of this content: somebody else wrote them. */
  refused: SignedRow[];
  isComplete: boolean;
}

/**
 * Signs rows anew with the key that signs now. Only what a key of ours has signed as it stands: a database that somebody
 * changed must not have it signed by us.
 */
export async function resign(
  services: Pick<Services, 'db' | 'signer'>,
  dataPlaneIds: readonly string[],
): Promise<Resigned> {
  const { db, signer } = services;
  const refused: SignedRow[] = [];
  let [seen, resigned] = [0, 0];
  let last: SignedRow | undefined;
  while (seen < MAX_ROWS) {
    const rows = await asFeed(db, (tx) => listSignedByOthers(tx, signer.kid, dataPlaneIds, last, PAGE));
    if (rows.length === 0) return { resigned, refused, isComplete: true };
    last = rows.at(-1);
    seen += rows.length;
    const good = rows.filter((row) => isAsSigned(services, row));
    refused.push(...rows.filter((row) => !good.includes(row)));
    for (const group of grouped(good)) resigned += await commitAnew(services, group);
  }
  return { resigned, refused, isComplete: false };
}

export function isAsSigned(
  { signer }: Pick<Services, 'signer'>,
  row: Omit<SignedRow, 'traceparent'>,
): boolean {
  const { hash, spec, deleted, kid, sig } = row;
  return (deleted ? hash === '' : digestOf(spec) === hash) && signer.wasSigned(row, kid, sig);
}

async function commitAnew(
  { db, signer }: Pick<Services, 'db' | 'signer'>,
  group: readonly SignedRow[],
): Promise<number> {
  const [{ tenantId, dataPlaneId } = { tenantId: '', dataPlaneId: '' }] = group;
  await withTenant(db, tenantId, (tx) =>
    commitToFeed(
      tx,
      signer,
      dataPlaneId,
      group.map(({ kind, key, id, generation, hash, spec, deleted, traceparent }) => ({
        ...{ tenant_id: tenantId, kind, key, id, generation, hash, spec, deleted, traceparent },
        // The row may have changed since it was read: then it is signed anew already.
        resigned: true,
      })),
    ),
  );
  return group.length;
}

/** One transaction for each tenant on each data plane, in the order of the list. */
function grouped(rows: readonly SignedRow[]): SignedRow[][] {
  const groups: SignedRow[][] = [];
  for (const row of rows) {
    const group = groups.at(-1);
    if (group?.[0]?.tenantId === row.tenantId && group[0].dataPlaneId === row.dataPlaneId) group.push(row);
    else groups.push([row]);
  }
  return groups;
}
