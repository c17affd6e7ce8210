import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { withTenant } from '../../db/tenant.ts';
import { notFound } from '../../http/problems.ts';
import { organizationScope } from '../organizations/scope.ts';
import type { Api, Services } from '../services.ts';
import { listOf, nameSchema, problems } from '../shapes.ts';
import { findOperation, listOperations } from './queries.ts';
import { isDone, operationSchema, showOperation } from './shape.ts';

const WAIT_POLL_MS = 250;

/** `Prefer: wait=30` (RFC 7240): seconds, at most 60. */
function preferredWaitMs(header: string | string[] | undefined): number {
  const seconds = /(?:^|[,;\s])wait=(\d{1,3})/.exec(String(header ?? ''))?.[1];
  return Math.min(Number(seconds ?? 0), 60) * 1000;
}

export function operationRoutes(api: Api, services: Services): void {
  const params = z.object({ organization: nameSchema });
  api.get(
    '/v1/organizations/:organization/operations/:operation',
    {
      schema: {
        tags: ['operations'],
        summary: 'Get an operation; with "Prefer: wait=<seconds>" as soon as it is done',
        params: params.extend({ operation: z.uuid() }),
        response: { 200: operationSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { organization } = await organizationScope(services, request, request.params.organization);
      const read = () =>
        withTenant(services.db, organization.id, (tx) => findOperation(tx, request.params.operation));
      const endMs = performance.now() + preferredWaitMs(request.headers.prefer);
      let row = await read();
      while (row && !isDone(row.state) && performance.now() < endMs && !request.raw.destroyed) {
        await delay(WAIT_POLL_MS);
        row = await read();
      }
      if (!row) throw notFound('operation');
      if (!isDone(row.state)) reply.header('retry-after', '1');
      return showOperation(row);
    },
  );

  api.get(
    '/v1/organizations/:organization/operations',
    {
      schema: {
        tags: ['operations'],
        summary: 'List operations, newest first',
        params,
        querystring: z.object({
          instance: nameSchema.optional(),
          limit: z.coerce.number().int().min(1).max(200).default(50),
        }),
        response: { 200: listOf(operationSchema), ...problems },
      },
    },
    async (request) => {
      const { organization } = await organizationScope(services, request, request.params.organization);
      const { instance, limit } = request.query;
      const rows = await withTenant(services.db, organization.id, (tx) =>
        listOperations(tx, instance, limit),
      );
      return { items: rows.map(showOperation) };
    },
  );
}
