import { deletionPolicies } from '@felucca/contract';
import { z } from 'zod';
import { type TenantTx, together, withTenant } from '../../db/tenant.ts';
import { mutate } from '../../http/idempotency.ts';
import { mutationHeaders } from '../../http/openapi.ts';
import { type FieldProblem, notFound, Problem } from '../../http/problems.ts';
import { traceparentOf } from '../../http/trace.ts';
import { findBlueprint } from '../blueprints/queries.ts';
import { holdDataPlane } from '../data-planes/queries.ts';
import { holdOrganization } from '../organizations/queries.ts';
import { organizationScope } from '../organizations/scope.ts';
import type { Api, Services } from '../services.ts';
import { nameSchema, problems, sendAnswer } from '../shapes.ts';
import { publishInstance } from './publish.ts';
import { insertInstance } from './queries.ts';
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
        const { parameters } = await withTenant(services.db, organization.id, (tx) =>
          checked(services, tx, order, { organization: organization.name, id: services.newId() }),
        );
        return reply.code(200).send({ valid: true, parameters: shownParameters(parameters) });
      }
      let woken: string | undefined;
      // Checked inside: a repeat gets its stored answer, whatever has been deleted since.
      const answer = await mutate(services, organization.id, request, async (tx) => {
        const id = services.newId();
        const [isThere, { dataPlane, blueprint, parameters }] = await together([
          holdOrganization(tx, organization.id),
          checked(services, tx, order, { organization: organization.name, id }),
        ]);
        if (!isThere) throw notFound('organization');
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
        const [at, operation] = await together([
          insertInstance(tx, instance),
          publishInstance(services, tx, {
            caller,
            organization,
            instance,
            kind: 'create',
            blueprint: blueprint.spec,
            traceparent: traceparentOf(request),
          }),
        ]);
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

/** The order with what it names, with defaults filled in and sealed. @throws Problem INVALID, CANNOT_SEAL */
async function checked(
  { hash }: Services,
  tx: TenantTx,
  order: Order,
  { organization, id }: { organization: string; id: string },
) {
  const [dataPlane, blueprint] = await together([
    holdDataPlane(tx, order.dataPlane),
    findBlueprint(tx, order.blueprint, order.version),
  ]);
  if (dataPlane && blueprint) {
    const { spec } = blueprint;
    const given = acceptParameters(spec, order.parameters, { organization, name: order.name });
    const parameters = await sealParameters(
      { tx, hash },
      { blueprint: spec, parameters: given, kept: {} },
      { instanceId: id, dataPlaneId: dataPlane.id },
    );
    return { dataPlane, blueprint, parameters };
  }
  const errors: FieldProblem[] = [];
  if (!dataPlane)
    errors.push({
      pointer: '/dataPlane',
      message: `there is no data plane "${order.dataPlane}"`,
      remedy: 'use the name of an existing one',
    });
  if (!blueprint)
    errors.push({
      pointer: '/blueprint',
      message: `there is no Blueprint ${order.blueprint} ${order.version}`,
      remedy: 'see GET /v1/blueprints',
    });
  throw new Problem('INVALID', 'The order names things that do not exist; see errors.', { errors });
}
