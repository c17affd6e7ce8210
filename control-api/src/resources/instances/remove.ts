import { etagOf, requireMatch } from '../../http/etag.ts';
import { mutate } from '../../http/idempotency.ts';
import { changeHeaders } from '../../http/openapi.ts';
import { notFound } from '../../http/problems.ts';
import { traceparentOf } from '../../http/trace.ts';
import { nextGeneration } from '../generation.ts';
import { organizationScope } from '../organizations/scope.ts';
import type { Api, Services } from '../services.ts';
import { problems, sendAnswer } from '../shapes.ts';
import { publishInstance } from './publish.ts';
import { findInstance, instanceDeleted } from './queries.ts';
import { accepted, acceptedSchema, instanceParams } from './shape.ts';

export function deleteInstanceRoute(api: Api, services: Services): void {
  api.delete(
    '/v1/organizations/:organization/instances/:instance',
    {
      schema: {
        tags: ['instances'],
        summary:
          'Delete an Instance (needs If-Match); its name is free at once, unless the deletion budget holds it; the operation tells when it is gone',
        headers: changeHeaders,
        params: instanceParams,
        response: { 202: acceptedSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { caller, organization } = await organizationScope(
        services,
        request,
        request.params.organization,
      );
      let woken: string | undefined;
      const answer = await mutate(services, organization.id, request, async (tx) => {
        const row = await findInstance(tx, request.params.instance, 'FOR UPDATE OF i');
        if (!row) throw notFound('Instance');
        requireMatch(request.headers['if-match'], etagOf(row));
        const instance = { ...row, generation: nextGeneration(row) };
        const deleted = instanceDeleted(tx.tenantId, row.id, instance.generation);
        const { at, operation } = await publishInstance(services, tx, deleted, {
          caller,
          organization,
          instance,
          kind: 'delete',
          traceparent: traceparentOf(request),
        });
        woken = row.dataPlaneId;
        return accepted({ ...instance, ...at }, organization.name, operation);
      });
      if (woken) services.wake.committed([woken]);
      return sendAnswer(reply, answer);
    },
  );
}
