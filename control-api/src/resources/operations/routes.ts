import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { withTenant } from '../../db/tenant.ts';
import { waitHeaders } from '../../http/openapi.ts';
import { notFound } from '../../http/problems.ts';
import { organizationScope } from '../organizations/scope.ts';
import type { Api, Services } from '../services.ts';
import { decodeIdCursor, listOf, nameSchema, page, pageQuery, problems } from '../shapes.ts';
import { findOperation, listOperations } from './queries.ts';
import { isDone, type OperationRow, operationSchema, showOperation } from './shape.ts';

const WAIT_POLL_MS = 250;
/** Each asks the database four times a second; who comes on top gets the state of now, and Retry-After. */
const MAX_WAITERS = 64;

/** `Prefer: wait=30` (RFC 7240): seconds, at most 60. */
function preferredWaitMs(header: string | string[] | undefined): number {
  const seconds = /(?:^|[,;\s])wait=(\d{1,3})/.exec(String(header ?? ''))?.[1];
  return Math.min(Number(seconds ?? 0), 60) * 1000;
}

export function operationRoutes(api: Api, services: Services): void {
  let waiters = 0;
  /** Reads again until the operation is done, time is up, the caller is gone or this process ends. */
  const wait = async (
    first: OperationRow,
    endMs: number,
    isGone: () => boolean,
    read: () => Promise<OperationRow | undefined>,
  ) => {
    let row: OperationRow | undefined = first;
    if (waiters >= MAX_WAITERS) return row;
    waiters += 1;
    try {
      while (row && !isDone(row.state) && performance.now() < endMs && !isGone()) {
        await delay(WAIT_POLL_MS, undefined, { signal: services.draining }).catch(() => {});
        if (services.draining.aborted) return row;
        row = await read();
      }
      return row;
    } finally {
      waiters -= 1;
    }
  };
  const params = z.object({ organization: nameSchema });
  api.get(
    '/v1/organizations/:organization/operations/:operation',
    {
      schema: {
        tags: ['operations'],
        summary: 'Get an operation; with "Prefer: wait=<seconds>" as soon as it is done',
        headers: waitHeaders,
        params: params.extend({ operation: z.uuid() }),
        response: { 200: operationSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { organization } = await organizationScope(services, request, request.params.organization);
      const read = () =>
        withTenant(services.db, organization.id, (tx) => findOperation(tx, request.params.operation));
      const endMs = performance.now() + preferredWaitMs(request.headers.prefer);
      const first = await read();
      const row = first && (await wait(first, endMs, () => request.raw.destroyed, read));
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
        querystring: pageQuery.extend({ instance: nameSchema.optional() }),
        response: { 200: listOf(operationSchema), ...problems },
      },
    },
    async (request) => {
      const { organization } = await organizationScope(services, request, request.params.organization);
      const { instance, limit, cursor } = request.query;
      const before = decodeIdCursor(cursor);
      const rows = await withTenant(services.db, organization.id, (tx) =>
        listOperations(tx, instance, before, limit + 1),
      );
      return page(rows, limit, showOperation, (row) => row.id);
    },
  );
}
