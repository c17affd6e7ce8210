import { type BlueprintSpec, deletionPolicies, digestOf, type FeedKind, feedKey } from '@felucca/contract';
import { z } from 'zod';
import { asOne } from '../../db/as-one.ts';
import { PLATFORM_TENANT, type TenantTx, withTenant } from '../../db/tenant.ts';
import { kidsOf } from '../../feed/signer.ts';
import { mutate } from '../../http/idempotency.ts';
import { mutationHeaders } from '../../http/openapi.ts';
import { type FieldProblem, Problem } from '../../http/problems.ts';
import { traceparentOf } from '../../http/trace.ts';
import { blueprintFound, missingBlueprint } from '../blueprints/queries.ts';
import { isHeldHere } from '../data-planes/held-queries.ts';
import { dataPlaneHeld } from '../data-planes/queries.ts';
import { nameHeld, tenantSpec } from '../desired.ts';
import { organizationHeld } from '../organizations/queries.ts';
import { isGone, organizationScope } from '../organizations/scope.ts';
import type { Api, Services } from '../services.ts';
import { nameSchema, problems, sendAnswer } from '../shapes.ts';
import { publishInstance } from './publish.ts';
import { findInstance, instanceInserted, nameTaken, throwIfTaken } from './queries.ts';
import { acceptParameters } from './rules.ts';
import { sealParameters, shownParameters } from './sealed-parameters.ts';
import { accepted, acceptedSchema, versionSchema } from './shape.ts';

const body = z.strictObject({
  name: nameSchema,
  dataPlane: z.string().max(64).describe('Name or id'),
  blueprint: nameSchema,
  version: versionSchema,
  parameters: z.record(z.string(), z.unknown()).default({}),
  suspend: z.boolean().default(false),
  deletionPolicy: z.enum(deletionPolicies).default('Delete'),
});

type Order = z.infer<typeof body>;

export function createInstanceRoute(api: Api, services: Services): void {
  api.post(
    '/v1/organizations/:organization/instances',
    {
      schema: {
        tags: ['instances'],
        summary: 'Order an Instance',
        headers: mutationHeaders,
        params: z.object({ organization: nameSchema }),
        querystring: z.strictObject({ dryRun: z.enum(['true', 'false']).optional() }),
        body,
        response: {
          200: z.object({ valid: z.literal(true), parameters: z.record(z.string(), z.unknown()) }),
          202: acceptedSchema,
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { caller, organization } = await organizationScope(
        services,
        request,
        request.params.organization,
      );
      const order = request.body;
      if (request.query.dryRun === 'true') {
        const { parameters } = await withTenant(services.db, organization.id, async (tx) => {
          const found = await checked(services, tx, order, { organization, id: services.newId() });
          await refuseTakenName(tx, order.name, organization.name, found.dataPlane.id);
          return found;
        });
        return reply.code(200).send({ valid: true, parameters: shownParameters(parameters) });
      }
      let woken: string | undefined;
      // Checked inside: a repeat gets its stored answer, whatever has been deleted since.
      const answer = await mutate(services, organization.id, request, async (tx) => {
        const id = services.newId();
        const { dataPlane, blueprint, isFirst, parameters } = await checked(services, tx, order, {
          organization,
          id,
        });
        const instance = {
          id,
          name: order.name,
          generation: 1,
          dataPlaneId: dataPlane.id,
          blueprintName: order.blueprint,
          blueprintVersion: order.version,
          parameters,
          suspend: order.suspend,
          deletionPolicy: order.deletionPolicy,
        };
        const { at, operation } = await publishInstance(
          services,
          tx,
          instanceInserted(tx.tenantId, instance),
          {
            caller,
            organization,
            instance,
            kind: 'create',
            ...(isFirst ? { blueprint } : {}),
            traceparent: traceparentOf(request),
          },
        ).catch(throwIfTaken(order.name));
        woken = dataPlane.id;
        return accepted(
          { ...instance, ...at, dataPlane: dataPlane.name, heldGeneration: 0 },
          organization.name,
          operation,
        );
      });
      if (woken) services.wake.committed([woken]);
      return sendAnswer(reply, answer);
    },
  );
}

/** What the order itself is told by constraints. @throws Problem NAME_TAKEN */
async function refuseTakenName(
  tx: TenantTx,
  name: string,
  organization: string,
  dataPlaneId: string,
): Promise<void> {
  if (await findInstance(tx, name)) throw nameTaken(name);
  const key = feedKey.instance(organization, name);
  if (await isHeldHere(tx, dataPlaneId, key)) throw nameHeld(key);
}

interface Named {
  organizationId: string | null;
  dataPlaneId: string | null;
  dataPlane: string | null;
  blueprint: BlueprintSpec | null;
  /** The data plane's feed lacks the Blueprint or the Tenant, or has it signed with a key that is not ours. */
  isFirst: boolean;
}

const lacks = (tenant: string, kind: FeedKind, key: string, hash: string): string =>
  `NOT EXISTS (SELECT FROM felucca.desired d WHERE d.tenant_id = ${tenant} AND d.data_plane_id = p.id
     AND d.kind = '${kind}' AND d.key = ${key} AND d.kid = ANY($5) AND d.hash = ${hash} AND d.deleted_at IS NULL)`;

/** What the order names; until the transaction ends nobody deletes any of it. Blueprints stay in a feed for ever. */
async function holdNamed(
  tx: TenantTx,
  { dataPlane, blueprint, version }: Order,
  organization: string,
  kids: readonly string[],
): Promise<Named> {
  const parts = {
    organization: organizationHeld(tx.tenantId),
    data_plane: dataPlaneHeld(dataPlane),
    blueprint: blueprintFound(blueprint, version),
  };
  const all = asOne(parts, {
    text: `SELECT o.id AS "organizationId", p.id AS "dataPlaneId", p.name AS "dataPlane", b.spec AS blueprint,
                  ${lacks('$1', 'Blueprint', '$2', 'b.digest')} OR ${lacks('o.id', 'Tenant', '$3', '$4')} AS "isFirst"
             FROM (SELECT) one LEFT JOIN organization o ON true LEFT JOIN data_plane p ON true LEFT JOIN blueprint b ON true`,
    values: [
      PLATFORM_TENANT,
      feedKey.blueprint(blueprint, version),
      feedKey.tenant(organization),
      digestOf(tenantSpec({ id: tx.tenantId })),
      kids,
    ],
  });
  const { rows } = await tx.query<Named>({ ...all, isRead: true });
  return rows[0]!;
}

/** The order with what it names, with defaults filled in and sealed. @throws Problem NOT_FOUND, INVALID, CANNOT_SEAL */
async function checked(
  services: Services,
  tx: TenantTx,
  order: Order,
  { organization, id }: { organization: { name: string }; id: string },
) {
  const { organizationId, dataPlaneId, dataPlane, blueprint, isFirst } = await holdNamed(
    tx,
    order,
    organization.name,
    kidsOf(services.signer),
  );
  if (organizationId === null) throw isGone(services, organization);
  if (dataPlaneId !== null && dataPlane !== null && blueprint !== null) {
    const names = { organization: organization.name, name: order.name };
    const given = acceptParameters(blueprint, order.parameters, names);
    const parameters = await sealParameters(
      { tx, hash: services.hash },
      { blueprint, parameters: given, kept: {} },
      { instanceId: id, dataPlaneId },
    );
    return { dataPlane: { id: dataPlaneId, name: dataPlane }, blueprint, isFirst, parameters };
  }
  const errors: FieldProblem[] = [];
  if (dataPlaneId === null)
    errors.push({
      pointer: '/dataPlane',
      message: `there is no data plane "${order.dataPlane}"`,
      remedy: 'use the name of an existing one',
    });
  if (blueprint === null) errors.push(await missingBlueprint(tx, order.blueprint, order.version));
  throw new Problem('INVALID', 'The order names things that do not exist; see errors.', { errors });
}
