import {
  type BlueprintSpec,
  digestOf,
  type FeedKind,
  feedKey,
  type InstanceSpec,
  type TenantSpec,
} from '@felucca/contract';
import { whenTaken } from '../db/errors.ts';
import { PLATFORM_TENANT, type Statement, type TenantTx } from '../db/tenant.ts';
import { kidsOf, REPEATED, type RowSigner } from '../feed/signer.ts';
import { Problem } from '../http/problems.ts';

/** One entry of felucca.feed_commit's p_changes, but for its signature. */
export interface DesiredChange {
  tenant_id: string;
  kind: FeedKind;
  key: string;
  id: string;
  generation: number;
  /** Empty for a tombstone. */
  hash: string;
  spec: unknown;
  deleted: boolean;
  traceparent: string | null;
  /** The same content under another key. */
  resigned?: true;
  /** A person has let this deletion go: the budget is not asked. */
  released?: true;
}

export interface Subject {
  tenantId: string;
  kind: FeedKind;
  key: string;
  id: string;
  generation: number;
}

/** A row to be signed; `spec` undefined makes it a tombstone. */
export function desiredChange(
  subject: Subject,
  spec: object | undefined,
  traceparent: string | null = null,
): DesiredChange {
  return changeOf(subject, spec, spec === undefined ? '' : digestOf(spec), traceparent);
}

const changeOf = (
  { tenantId, kind, key, id, generation }: Subject,
  spec: object | undefined,
  hash: string,
  traceparent: string | null,
): DesiredChange => ({
  ...{ tenant_id: tenantId, kind, key, id, generation, hash, spec: spec ?? null, traceparent },
  deleted: spec === undefined,
});

/** Blueprints are content: the id is the digest, the generation never moves. */
export function blueprintChange(spec: BlueprintSpec): DesiredChange {
  const hash = digestOf(spec);
  const id = hash.slice('sha256:'.length);
  const key = feedKey.blueprint(spec.name, spec.version);
  return changeOf({ tenantId: PLATFORM_TENANT, kind: 'Blueprint', key, id, generation: 1 }, spec, hash, null);
}

export const dataPlaneSubject = (id: string, generation: number): Subject => ({
  tenantId: PLATFORM_TENANT,
  kind: 'DataPlane',
  key: feedKey.dataPlane(),
  id,
  generation,
});

export const tenantSubject = (organization: { id: string; name: string }): Subject => ({
  tenantId: organization.id,
  kind: 'Tenant',
  key: feedKey.tenant(organization.name),
  id: organization.id,
  generation: 1,
});

export const tenantSpec = (organization: { id: string }): TenantSpec => ({ organizationId: organization.id });

export interface DesiredInstance {
  id: string;
  name: string;
  generation: number;
  blueprintName: string;
  blueprintVersion: string;
  parameters: Record<string, unknown>;
  suspend: boolean;
  deletionPolicy: 'Delete' | 'Retain' | 'Orphan';
}

export const instanceSubject = (
  organization: { id: string; name: string },
  instance: DesiredInstance,
): Subject => ({
  tenantId: organization.id,
  kind: 'Instance',
  key: feedKey.instance(organization.name, instance.name),
  id: instance.id,
  generation: instance.generation,
});

export const instanceSpec = (instance: DesiredInstance): InstanceSpec => ({
  blueprintRef: { name: instance.blueprintName, version: instance.blueprintVersion },
  parameters: instance.parameters,
  suspend: instance.suspend,
  deletionPolicy: instance.deletionPolicy,
});

/**
 * Signs them for this data plane. Comes last in its transaction, but for a question what came of it: it takes the data
 * plane's counter. A deletion beyond the data plane's budget is not in the feed afterwards, but among the held ones.
 * @returns the new head
 * @throws Problem NAME_TAKEN when the deletion of a name's former owner is held
 */
export async function commitToFeed(
  tx: TenantTx,
  signer: RowSigner,
  dataPlaneId: string,
  changes: readonly DesiredChange[],
): Promise<string> {
  const { rows } = await tx
    .query<{ head: string }>(await feedCommit(signer, dataPlaneId, changes))
    .catch(throwIfHeld(changes));
  return rows[0]?.head ?? '0';
}

/** Signs, and selects what commitToFeed() returns, as `head`. */
export async function feedCommit(
  signer: RowSigner,
  dataPlaneId: string,
  changes: readonly DesiredChange[],
): Promise<Statement> {
  const signed = await Promise.all(
    changes.map(async (change) => ({
      ...change,
      kid: signer.kid,
      sig: await signer.sign({ dataPlaneId, ...change }),
      // No change will ever put right what an API with other keys has signed. Of the rest the next generation does.
      ...(REPEATED.includes(change.kind) ? { known: kidsOf(signer) } : {}),
    })),
  );
  return {
    text: 'SELECT felucca.feed_commit($1, $2::jsonb)::text AS head',
    values: [dataPlaneId, JSON.stringify(signed)],
  };
}

/** @throws Problem NAME_TAKEN, or the error itself */
export const throwIfHeld = (changes: readonly DesiredChange[]) =>
  whenTaken('held_deletions_pkey', () => {
    const keys = changes.filter(({ kind }) => kind === 'Instance').map(({ key }) => key);
    return nameHeld(keys.join(', '));
  });

export const nameHeld = (key: string): Problem =>
  new Problem(
    'NAME_TAKEN',
    `The deletion of the Instance that had the name ${key} exceeds the deletion budget and waits for a decision of the ` +
      'platform (/v1/data-planes/<name>/held-deletions, with a platform key); choose another name, or wait for it.',
  );
