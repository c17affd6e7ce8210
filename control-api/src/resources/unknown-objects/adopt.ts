import {
  type BlueprintSpec,
  blueprintSpecSchema,
  type DataPlaneSpec,
  dataPlaneSpecSchema,
  digestOf,
  type InstanceSpec,
  instanceSpecSchema,
} from '@felucca/contract';
import { asFeed, type TenantTx, withPlatform, withTenant } from '../../db/tenant.ts';
import type { Caller } from '../../http/api-keys.ts';
import { notFound, Problem } from '../../http/problems.ts';
import { audit } from '../audit.ts';
import { findBlueprint, insertBlueprint } from '../blueprints/queries.ts';
import { lockDataPlaneSpec } from '../data-planes/held-queries.ts';
import { publishSettings } from '../data-planes/publish-settings.ts';
import { holdDataPlane } from '../data-planes/queries.ts';
import {
  blueprintChange,
  commitToFeed,
  desiredChange,
  instanceSubject,
  tenantSpec,
  tenantSubject,
} from '../desired.ts';
import {
  insertFormerInstance,
  lockInstance,
  markInstanceRestored,
  updateInstance,
} from '../instances/queries.ts';
import { findOrganization, holdOrganization, insertOrganization } from '../organizations/queries.ts';
import type { Services } from '../services.ts';
import { type Difference, findUnknown, type UnknownRow } from './queries.ts';

export interface Adoption {
  services: Services;
  caller: Caller;
  dataPlane: { id: string; name: string };
}

/** An id that somebody copied in the cluster is told under each of its names. */
const MAX_OF_ONE_ID = 100;

/** What is adopted: a row that this control plane signed, with its whole content. */
type Held<Spec> = UnknownRow & { generation: number; hash: string; spec: Spec };

/**
 * Takes an object back into the database as the cluster runs it: same id, same generation, same content, so that its
 * operator finds nothing to do. Each in a transaction of its own.
 * @throws Problem saying what is in the way and what to do first
 */
export async function adopt(adoption: Adoption, row: UnknownRow): Promise<void> {
  if (row.difference !== 'removing') return takeUp(adoption, row);
  const unless =
    row.kind === 'Instance'
      ? ', unless its removal is held: then reject that (/v1/data-planes/<name>/held-deletions/reject), which adopts it'
      : '';
  throw new Problem(
    'CONFLICT',
    `${row.kind} ${row.key} is being removed; it can't be adopted any more${unless}.`,
  );
}

/**
 * The removal of an Instance that the database does not know was held, and is not wanted: it is adopted after all, above
 * the tombstone, which the operator has and would not exchange for less.
 * @throws Problem saying what is in the way and what to do first
 */
export async function adoptRemoved(
  adoption: Adoption,
  { key, id }: { key: string; id: string },
): Promise<void> {
  const { services, dataPlane } = adoption;
  const rows = await asFeed(services.db, (tx) => findUnknown(tx, dataPlane.id, [id], MAX_OF_ONE_ID));
  const row = rows.find((one) => one.kind === 'Instance' && one.key === key && one.difference === 'removing');
  if (!row) throw notFound('deleted Instance');
  const generation = row.generation === null ? null : (row.databaseGeneration ?? 0) + 1;
  await takeUp(adoption, { ...row, generation });
}

async function takeUp(adoption: Adoption, row: UnknownRow): Promise<void> {
  const { generation, hash, spec } = row;
  if (generation === null || hash === null)
    throw new Problem(
      'CONFLICT',
      `${row.kind} ${row.key} was not signed with a key that this control plane has, so nobody can say that it was ` +
        'ordered here. Put the signing key back from its backup; or remove the object, and order it anew.',
    );
  if (spec === null)
    throw new Problem(
      'CONFLICT',
      `The operator did not tell the whole ${row.kind} ${row.key}: it is larger than a report may say, or was edited in ` +
        'the cluster while its operator was away. Order it anew under another name, or remove it.',
    );
  const held = { ...row, generation, hash };
  if (row.kind === 'Instance')
    return adoptInstance(adoption, { ...held, spec: parsed(instanceSpecSchema, spec) });
  if (row.kind === 'Tenant') return adoptOrganization(adoption, held);
  if (row.kind === 'Blueprint')
    return adoptBlueprint(adoption, { ...held, spec: parsed(blueprintSpecSchema, spec) });
  return adoptDataPlane(adoption, { ...held, spec: parsed(dataPlaneSpecSchema, spec) });
}

/** Signed long ago, maybe by another version of this program. */
function parsed<T>(schema: { safeParse: (value: unknown) => { data?: T } }, spec: unknown): T {
  const { data } = schema.safeParse(spec);
  if (data !== undefined) return data;
  throw new Problem('CONFLICT', 'Its content is not what this version of the control plane understands.');
}

async function adoptInstance(adoption: Adoption, held: Held<InstanceSpec>): Promise<void> {
  const { services, dataPlane } = adoption;
  const { id, key, generation, spec } = held;
  const [organizationName = '', name = ''] = key.split('/');
  const organization = await withPlatform(services.db, (tx) => findOrganization(tx, organizationName));
  if (!organization)
    throw new Problem(
      'CONFLICT',
      `Instance ${key} belongs to organization "${organizationName}", which does not exist; adopt its Tenant first.`,
    );
  // Ids tell when they were made: whoever has the name now is not whose it was.
  if (id < organization.id)
    throw new Problem(
      'CONFLICT',
      `Instance ${key} is older than organization "${organizationName}", so it belonged to another one of that name. ` +
        'Remove it, or delete the new organization and adopt the former Tenant.',
    );
  const { name: blueprintName, version: blueprintVersion } = spec.blueprintRef;
  await withTenant(services.db, organization.id, async (tx) => {
    const blueprint = await findBlueprint(tx, blueprintName, blueprintVersion);
    if (!blueprint)
      throw new Problem(
        'CONFLICT',
        `Instance ${key} needs Blueprint ${blueprintName} ${blueprintVersion}, which is not published here; adopt or ` +
          'publish it first.',
      );
    if (!(await holdOrganization(tx, organization.id)) || !(await holdDataPlane(tx, dataPlane.id)))
      throw new Problem('CONFLICT', 'The organization or the data plane has just been deleted.');
    const instance = {
      id,
      name,
      generation,
      dataPlaneId: dataPlane.id,
      blueprintName,
      blueprintVersion,
      parameters: spec.parameters ?? {},
      suspend: spec.suspend ?? false,
      deletionPolicy: spec.deletionPolicy ?? 'Delete',
    };
    const before = await takeBack(tx, instance, held.difference);
    await audit(tx, services.newId(), adoption.caller, 'instance.adopt', `instance/${name}`, {
      id,
      dataPlane: dataPlane.name,
      generation,
      ...(before === undefined ? {} : { generationBefore: before }),
    });
    await commitToFeed(tx, services.signer, dataPlane.id, [
      blueprintChange(blueprint.spec),
      desiredChange(tenantSubject(organization), tenantSpec(organization)),
      // As it was signed: the operator compares the whole.
      desiredChange(instanceSubject(organization, instance), spec),
    ]);
  });
}

/** @returns the generation that the row had here, if it was here */
async function takeBack(
  tx: TenantTx,
  instance: Parameters<typeof insertFormerInstance>[1],
  difference: Difference,
): Promise<number | undefined> {
  const row = await lockInstance(tx, instance.id);
  if (!row) {
    await insertFormerInstance(tx, instance);
    return undefined;
  }
  if (row.dataPlaneId !== instance.dataPlaneId || row.name !== instance.name)
    throw new Problem(
      'CONFLICT',
      `Here ${instance.id} is ${row.name} on data plane ${row.dataPlane}; this object is not it. Remove it.`,
    );
  // Of the same generation only the row of the feed was lost, which is written again.
  if (
    row.generation > instance.generation ||
    (row.generation === instance.generation && difference !== 'unknown')
  )
    throw new Problem(
      'CONFLICT',
      `${row.name} is at generation ${row.generation} here and at ${instance.generation} in the cluster, so there is nothing to ` +
        'adopt; the next change through the API is sent there.',
    );
  if (row.deleted) await markInstanceRestored(tx, row, instance.generation);
  await updateInstance(tx, instance);
  return row.generation;
}

async function adoptOrganization(
  { services, caller, dataPlane }: Adoption,
  held: Held<unknown>,
): Promise<void> {
  const { id, key: name } = held;
  await withTenant(services.db, id, async (tx) => {
    const known = await findOrganization(tx, name);
    if (known && known.id !== id)
      throw new Problem(
        'NAME_TAKEN',
        `There is another organization "${name}" by now; delete that one first, or remove this Tenant.`,
      );
    if (!known) {
      if (held.difference !== 'unknown')
        throw new Problem('CONFLICT', `Organization "${name}" is deleted here; it can't be adopted.`);
      await insertOrganization(tx, id, name);
    }
    if (!(await holdOrganization(tx, id)) || !(await holdDataPlane(tx, dataPlane.id)))
      throw new Problem('CONFLICT', 'The organization or the data plane has just been deleted.');
    const organization = { id, name };
    await audit(tx, services.newId(), caller, 'organization.adopt', `organization/${name}`, {
      id,
      dataPlane: dataPlane.name,
    });
    await commitToFeed(tx, services.signer, dataPlane.id, [
      desiredChange(tenantSubject(organization), tenantSpec(organization)),
    ]);
  });
}

async function adoptBlueprint(
  { services, caller, dataPlane }: Adoption,
  held: Held<BlueprintSpec>,
): Promise<void> {
  const { spec } = held;
  const { name, version } = spec;
  // From what was signed, not as this version's schema reads it: the digest is its id.
  const digest = held.hash;
  await withPlatform(services.db, async (tx) => {
    if (digestOf(spec) !== digest)
      throw new Problem(
        'CONFLICT',
        `Blueprint ${name} ${version} has fields that this version does not know.`,
      );
    const inserted = await insertBlueprint(tx, spec, digest);
    const row = await findBlueprint(tx, name, version);
    if (row?.digest !== digest)
      throw new Problem(
        'IMMUTABLE',
        `${name} ${version} was published with other content meanwhile; publish this content as another version, ` +
          'and change the Instances that pin it.',
      );
    await audit(tx, services.newId(), caller, 'blueprint.adopt', `blueprint/${name}/${version}`, {
      digest,
      dataPlane: dataPlane.name,
      published: inserted,
    });
    await commitToFeed(tx, services.signer, dataPlane.id, [blueprintChange(spec)]);
  });
}

async function adoptDataPlane(
  { services, caller, dataPlane }: Adoption,
  held: Held<DataPlaneSpec>,
): Promise<void> {
  const { generation, spec } = held;
  await withPlatform(services.db, async (tx) => {
    const before = await lockDataPlaneSpec(tx, dataPlane.id);
    if (!before || before.generation >= generation)
      throw new Problem('CONFLICT', 'The settings of the data plane are not behind the cluster any more.');
    await audit(tx, services.newId(), caller, 'data-plane.adopt', `data-plane/${dataPlane.name}`, {
      generation,
      generationBefore: before.generation,
    });
    await publishSettings(tx, services.signer, dataPlane.id, spec, generation);
  });
}
