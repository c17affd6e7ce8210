import { deletionPolicies } from '@felucca/contract';
import { z } from 'zod';
import { withTenant } from '../../db/tenant.ts';
import { mutate } from '../../http/idempotency.ts';
import { notFound, Problem } from '../../http/problems.ts';
import { traceparentOf } from '../../http/trace.ts';
import { findBlueprint } from '../blueprints/queries.ts';
import { findDataPlane, holdDataPlane } from '../data-planes/queries.ts';
import { holdOrganization } from '../organizations/queries.ts';
import { organizationScope } from '../organizations/scope.ts';
import type { Api, Services } from '../services.ts';
import { nameSchema, problems, sendAnswer } from '../shapes.ts';
import { publishInstance } from './publish.ts';
import { findInstance, type InstanceRow, insertInstance } from './queries.ts';
import { acceptParameters } from './rules.ts';
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

export function createInstanceRoute(api: Api, services: Services): void {
  api.post(
    '/v1/organizations/:organization/instances',
    {
      schema: {
        tags: ['instances'],
        summary: 'Order an Instance',
        params: z.object({ organization: nameSchema }),
        querystring: z.object({ dryRun: z.enum(['true', 'false']).optional() }),
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
      const { dataPlane, blueprint } = await withTenant(services.db, organization.id, async (tx) => ({
        dataPlane: await findDataPlane(tx, order.dataPlane),
        blueprint: await findBlueprint(tx, order.blueprint, order.version),
      }));
      const errors = [
        ...(dataPlane
          ? []
          : [
              {
                pointer: '/dataPlane',
                message: `there is no data plane "${order.dataPlane}"`,
                remedy: 'use the name of an existing one',
              },
            ]),
        ...(blueprint
          ? []
          : [
              {
                pointer: '/blueprint',
                message: `there is no Blueprint ${order.blueprint} ${order.version}`,
                remedy: 'see GET /v1/blueprints',
              },
            ]),
      ];
      if (!dataPlane || !blueprint)
        throw new Problem('INVALID', 'The order names things that do not exist; see errors.', { errors });
      const parameters = acceptParameters(blueprint.spec, order.parameters);
      if (request.query.dryRun === 'true') return reply.code(200).send({ valid: true, parameters });

      const answer = await mutate(services.db, organization.id, request, async (tx) => {
        if (!(await holdOrganization(tx, organization.id))) throw notFound('organization');
        if (!(await holdDataPlane(tx, dataPlane.id)))
          throw new Problem(
            'CONFLICT',
            `Data plane "${dataPlane.name}" has just been deleted; choose another one.`,
          );
        const instance = {
          id: services.newId(),
          name: order.name,
          generation: 1,
          dataPlaneId: dataPlane.id,
          blueprintName: order.blueprint,
          blueprintVersion: order.version,
          parameters,
          suspend: order.suspend,
          deletionPolicy: order.deletionPolicy,
        };
        await insertInstance(tx, instance);
        const row = (await findInstance(tx, order.name)) as InstanceRow;
        const operation = await publishInstance(services, tx, {
          caller,
          organization,
          instance,
          kind: 'create',
          blueprint: blueprint.spec,
          traceparent: traceparentOf(request),
        });
        return accepted(row, organization.name, operation);
      });
      if (!answer.replayed) services.wake.committed([dataPlane.id]);
      return sendAnswer(reply, answer);
    },
  );
}
