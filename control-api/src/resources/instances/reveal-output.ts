import { z } from 'zod';
import { withTenant } from '../../db/tenant.ts';
import { notFound, Problem } from '../../http/problems.ts';
import { audit } from '../audit.ts';
import { organizationScope } from '../organizations/scope.ts';
import type { Api, Services } from '../services.ts';
import { problems } from '../shapes.ts';
import { findInstance, findOutput } from './queries.ts';
import { instanceParams } from './shape.ts';

/** A POST, for it leaves a trace: no value is opened that the audit does not tell of. */
export function revealOutputRoute(api: Api, services: Services): void {
  api.post(
    '/v1/organizations/:organization/instances/:instance/outputs/:output/reveal',
    {
      schema: {
        tags: ['instances'],
        summary: 'Open a sensitive output; the audit tells of each time',
        params: instanceParams.extend({ output: z.string().max(64) }),
        response: {
          200: z.object({
            output: z.string(),
            value: z.string(),
            /** Generation of the Instance that it is of. */
            generation: z.number().int(),
            reportedAt: z.string(),
          }),
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { params } = request;
      const { caller, organization } = await organizationScope(services, request, params.organization);
      const { output } = params;
      const revealed = await withTenant(services.db, organization.id, async (tx) => {
        const row = await findInstance(tx, params.instance);
        if (!row) throw notFound('Instance');
        const found = await findOutput(tx, row, output);
        if (!found?.isSensitive) throw notFound('sensitive output');
        const context = { dataPlane: row.dataPlaneId, instance: row.id, output };
        const value =
          found.sealed === null ? undefined : await services.outputKey.open(found.sealed, context);
        if (value === undefined) throw notSealedYet(output);
        await audit(tx, services.newId(), caller, 'instance.output.reveal', `instance/${row.name}`, {
          id: row.id,
          output,
        });
        return {
          output,
          value,
          generation: found.generation,
          reportedAt: found.reportedAt.toISOString(),
        };
      });
      return reply.header('cache-control', 'no-store').send(revealed);
    },
  );
}

const notSealedYet = (output: string): Problem =>
  new Problem(
    'CONFLICT',
    `The operator has not sealed output "${output}" to the key of this control plane yet; it does so with its next ` +
      'reports, if it is of this version. Until then the Secret that it names holds the value.',
  );
