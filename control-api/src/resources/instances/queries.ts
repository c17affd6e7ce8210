import type { Condition, Output } from '@felucca/contract';
import { whenTaken } from '../../db/errors.ts';
import type { Statement, TenantTx } from '../../db/tenant.ts';
import { Problem } from '../../http/problems.ts';
import type { DesiredInstance } from '../desired.ts';
import { heldGeneration } from '../generation.ts';

export interface InstanceRow extends DesiredInstance {
  /** Of the cluster, where it is past the row's own. */
  heldGeneration: number;
  dataPlaneId: string;
  dataPlane: string;
  createdAt: Date;
  updatedAt: Date;
}

const COLUMNS = `i.id, i.name, i.generation::int AS generation, i.blueprint_name AS "blueprintName",
  i.blueprint_version AS "blueprintVersion", i.parameters, i.suspend, i.deletion_policy AS "deletionPolicy",
  i.data_plane_id AS "dataPlaneId", p.name AS "dataPlane", i.created_at AS "createdAt", i.updated_at AS "updatedAt",
  ${heldGeneration('Instance', { tenant: 'i.tenant_id', dataPlane: 'i.data_plane_id', id: 'i.id' })} AS "heldGeneration"`;

/** What each of the statements that write an Instance returns. */
export interface WrittenAt {
  createdAt: Date;
  updatedAt: Date;
}
/** The constraint that gives a name once. */
const NAME = 'instances_name';
const WRITTEN_AT = 'created_at AS "createdAt", updated_at AS "updatedAt"';

/** One that was ordered before: its id, a UUIDv7, tells when. */
export async function insertFormerInstance(
  tx: TenantTx,
  instance: DesiredInstance & { dataPlaneId: string },
): Promise<void> {
  await tx.query(instanceInserted(tx.tenantId, instance)).catch(throwIfGivenAnew(instance.name));
  await tx.query({
    text: `UPDATE felucca.instances
              SET created_at = to_timestamp(('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0)
            WHERE tenant_id = $1 AND id = $2`,
    values: [tx.tenantId, instance.id],
  });
}

export const instanceInserted = (
  tenantId: string,
  instance: DesiredInstance & { dataPlaneId: string },
): Statement => ({
  text: `INSERT INTO felucca.instances (tenant_id, id, name, data_plane_id, blueprint_name, blueprint_version,
           parameters, suspend, deletion_policy, generation) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         RETURNING ${WRITTEN_AT}`,
  values: [
    tenantId,
    instance.id,
    instance.name,
    instance.dataPlaneId,
    instance.blueprintName,
    instance.blueprintVersion,
    JSON.stringify(instance.parameters),
    instance.suspend,
    instance.deletionPolicy,
    instance.generation,
  ],
});

/** @throws Problem NAME_TAKEN, or the error itself */
export const throwIfTaken = (name: string) => whenTaken(NAME, () => nameTaken(name));

export const nameTaken = (name: string): Problem =>
  new Problem(
    'NAME_TAKEN',
    `There is an Instance "${name}" already; choose another name or change that one.`,
  );

/** `lock` for a change: the generation counts under the row's lock. */
export async function findInstance(
  tx: TenantTx,
  name: string,
  lock: '' | 'FOR UPDATE OF i' = '',
): Promise<InstanceRow | undefined> {
  const { rows } = await tx.query<InstanceRow>({
    text: `SELECT ${COLUMNS} FROM felucca.instances i JOIN felucca.data_planes p ON p.id = i.data_plane_id
            WHERE i.tenant_id = $1 AND i.name = $2 AND i.deleted_at IS NULL ${lock}`,
    values: [tx.tenantId, name],
    isRead: true,
  });
  return rows[0];
}

export async function listInstances(tx: TenantTx, after: string, limit: number): Promise<InstanceRow[]> {
  const { rows } = await tx.query<InstanceRow>({
    text: `SELECT ${COLUMNS} FROM felucca.instances i JOIN felucca.data_planes p ON p.id = i.data_plane_id
            WHERE i.tenant_id = $1 AND i.deleted_at IS NULL AND i.name > $2 ORDER BY i.name LIMIT $3`,
    values: [tx.tenantId, after, limit],
  });
  return rows;
}

export async function updateInstance(tx: TenantTx, instance: DesiredInstance): Promise<void> {
  await tx.query(instanceUpdated(tx.tenantId, instance));
}

export const instanceUpdated = (tenantId: string, instance: DesiredInstance): Statement => ({
  text: `UPDATE felucca.instances SET blueprint_version = $3, parameters = $4, suspend = $5, deletion_policy = $6,
           generation = $7, updated_at = now() WHERE tenant_id = $1 AND id = $2 RETURNING ${WRITTEN_AT}`,
  values: [
    tenantId,
    instance.id,
    instance.blueprintVersion,
    JSON.stringify(instance.parameters),
    instance.suspend,
    instance.deletionPolicy,
    instance.generation,
  ],
});

export async function markInstanceDeleted(tx: TenantTx, id: string, generation: number): Promise<void> {
  await tx.query(instanceDeleted(tx.tenantId, id, generation));
}

/** Soft: the row stays for 90 days, for the record and for a restore (feed/retention.ts). */
export const instanceDeleted = (tenantId: string, id: string, generation: number): Statement => ({
  text: `UPDATE felucca.instances SET deleted_at = now(), updated_at = now(), generation = $3
          WHERE tenant_id = $1 AND id = $2 RETURNING ${WRITTEN_AT}`,
  values: [tenantId, id, generation],
});

/** Deleted or not. */
export async function lockInstance(
  tx: TenantTx,
  id: string,
): Promise<(InstanceRow & { deleted: boolean }) | undefined> {
  const { rows } = await tx.query<InstanceRow & { deleted: boolean }>({
    text: `SELECT ${COLUMNS}, i.deleted_at IS NOT NULL AS deleted
             FROM felucca.instances i JOIN felucca.data_planes p ON p.id = i.data_plane_id
            WHERE i.tenant_id = $1 AND i.id = $2 FOR UPDATE OF i`,
    values: [tx.tenantId, id],
  });
  return rows[0];
}

export async function lockDeletedInstance(tx: TenantTx, id: string): Promise<InstanceRow | undefined> {
  const { rows } = await tx.query<InstanceRow>({
    text: `SELECT ${COLUMNS} FROM felucca.instances i JOIN felucca.data_planes p ON p.id = i.data_plane_id
            WHERE i.tenant_id = $1 AND i.id = $2 AND i.deleted_at IS NOT NULL FOR UPDATE OF i`,
    values: [tx.tenantId, id],
  });
  return rows[0];
}

export async function markInstanceRestored(
  tx: TenantTx,
  { id, name }: { id: string; name: string },
  generation: number,
): Promise<void> {
  await tx.query(instanceRestored(tx.tenantId, id, generation)).catch(throwIfGivenAnew(name));
}

export const instanceRestored = (tenantId: string, id: string, generation: number): Statement => ({
  text: `UPDATE felucca.instances SET deleted_at = NULL, updated_at = now(), generation = $3
          WHERE tenant_id = $1 AND id = $2 RETURNING ${WRITTEN_AT}`,
  values: [tenantId, id, generation],
});

/** For whoever adopts. @throws Problem NAME_TAKEN, or the error itself */
const throwIfGivenAnew = (name: string) =>
  whenTaken(
    NAME,
    () =>
      new Problem(
        'NAME_TAKEN',
        `There is another Instance "${name}" by now; delete that one first, or remove this object.`,
      ),
  );

/** @throws Problem NAME_TAKEN, or the error itself */
export const throwIfSucceeded = (name: string) =>
  whenTaken(
    NAME,
    () =>
      new Problem(
        'NAME_TAKEN',
        `There is another Instance "${name}" by now; delete that one first, or let the former one go.`,
      ),
  );

/** The same order under a higher generation, and its operation with it. */
export async function liftInstance(tx: TenantTx, id: string, from: number, to: number): Promise<void> {
  await tx.query({
    text: 'UPDATE felucca.instances SET generation = $3 WHERE tenant_id = $1 AND id = $2',
    values: [tx.tenantId, id, to],
  });
  await tx.query({
    text: `UPDATE felucca.operations SET generation = $4, state = 'accepted', ended_at = NULL, message = ''
            WHERE tenant_id = $1 AND instance_id = $2 AND generation = $3
              AND state IN ('accepted', 'delivered', 'applied', 'failed')`,
    values: [tx.tenantId, id, from, to],
  });
}

export async function countLiveInstances(tx: TenantTx): Promise<number> {
  const { rows } = await tx.query<{ count: number }>({
    text: 'SELECT count(*)::int AS count FROM felucca.instances WHERE tenant_id = $1 AND deleted_at IS NULL',
    values: [tx.tenantId],
  });
  return rows[0]?.count ?? 0;
}

export interface DesiredRow {
  rev: string;
  generation: number;
  hash: string;
  spec: Record<string, unknown> | null;
  committedAt: Date;
}

export async function findDesired(tx: TenantTx, instance: InstanceRow): Promise<DesiredRow | undefined> {
  const { rows } = await tx.query<DesiredRow>({
    text: `SELECT rev::text, generation::int, hash, spec, committed_at AS "committedAt" FROM felucca.desired
            WHERE tenant_id = $1 AND data_plane_id = $2 AND kind = 'Instance' AND id = $3`,
    values: [tx.tenantId, instance.dataPlaneId, instance.id],
  });
  return rows[0];
}

export interface ObservedRow {
  generation: number;
  digest: string;
  conditions: Condition[];
  outputs: Record<string, Output>;
  driftCount: number;
  reportedAt: Date;
}

export async function findObserved(tx: TenantTx, instance: InstanceRow): Promise<ObservedRow | undefined> {
  const { rows } = await tx.query<ObservedRow>({
    text: `SELECT generation::int, digest, conditions, outputs, drift_count AS "driftCount", reported_at AS "reportedAt"
             FROM felucca.observed
            WHERE tenant_id = $1 AND data_plane_id = $2 AND kind = 'Instance' AND id = $3 AND NOT deleted`,
    values: [tx.tenantId, instance.dataPlaneId, instance.id],
  });
  return rows[0];
}

export interface OutputRow {
  isSensitive: boolean;
  sealed: string | null;
  generation: number;
  reportedAt: Date;
}

/** One output as it was last reported. */
export async function findOutput(
  tx: TenantTx,
  instance: InstanceRow,
  output: string,
): Promise<OutputRow | undefined> {
  const { rows } = await tx.query<OutputRow & Record<string, unknown>>({
    text: `SELECT (outputs -> $4::text) ? 'secretRef' AS "isSensitive", sealed_outputs ->> $4::text AS sealed,
                  generation::int, reported_at AS "reportedAt"
             FROM felucca.observed
            WHERE tenant_id = $1 AND data_plane_id = $2 AND kind = 'Instance' AND id = $3 AND NOT deleted`,
    values: [tx.tenantId, instance.dataPlaneId, instance.id, output],
  });
  return rows[0];
}

export interface RefusalRow {
  code: string;
  message: string;
  retryable: boolean;
  at: Date;
}

/** Why the operator refused the row, if it did. */
export async function findRefusal(
  tx: TenantTx,
  instance: InstanceRow,
  key: string,
): Promise<RefusalRow | undefined> {
  const { rows } = await tx.query<RefusalRow>({
    text: `SELECT code, message, retryable, at FROM felucca.nacks
            WHERE tenant_id = $1 AND data_plane_id = $2 AND kind = 'Instance' AND key = $3 AND id = $4`,
    values: [tx.tenantId, instance.dataPlaneId, key, instance.id],
  });
  return rows[0];
}

export interface DriftRow {
  id: string;
  object: string;
  path: string;
  expected: string;
  actual: string;
  manager: string;
  action: 'corrected' | 'reported';
  detectedAt: Date;
}

const DRIFT = 'id::text, object, path, expected, actual, manager, action, detected_at AS "detectedAt"';

/** Newest first. */
export async function listDrift(tx: TenantTx, instance: InstanceRow): Promise<DriftRow[]> {
  const { rows } = await tx.query<DriftRow>({
    text: `SELECT ${DRIFT} FROM felucca.drift
            WHERE tenant_id = $1 AND object_id = $2 ORDER BY id DESC LIMIT 100`,
    values: [tx.tenantId, instance.id],
  });
  return rows;
}

export async function findDrift(
  tx: TenantTx,
  instance: InstanceRow,
  id: string,
): Promise<DriftRow | undefined> {
  const { rows } = await tx.query<DriftRow>({
    text: `SELECT ${DRIFT} FROM felucca.drift WHERE tenant_id = $1 AND object_id = $2 AND id = $3`,
    values: [tx.tenantId, instance.id, id],
  });
  return rows[0];
}
