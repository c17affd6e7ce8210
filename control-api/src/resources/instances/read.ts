import { feedKey } from '@felucca/contract';
import { z } from 'zod';
import { readTenant, type TenantTx } from '../../db/tenant.ts';
import { etagOf } from '../../http/etag.ts';
import { notFound } from '../../http/problems.ts';
import { organizationScope } from '../organizations/scope.ts';
import type { Api, Services } from '../services.ts';
import { decodeCursor, listOf, nameSchema, page, pageQuery, problems } from '../shapes.ts';
import {
  findDesired,
  findInstance,
  findObserved,
  findRefusal,
  type InstanceRow,
  listDrift,
  listInstances,
} from './queries.ts';
import { shownParameters } from './sealed-parameters.ts';
import { instanceParams, instanceSchema, observedSchema, showInstance } from './shape.ts';

const desiredSchema = z.object({
  revision: z.string(),
  generation: z.number().int(),
  digest: z.string(),
  spec: z.record(z.string(), z.unknown()),
  committedAt: z.string(),
});
const driftSchema = z.object({
  id: z.string(),
  object: z.string(),
  path: z.string(),
  expected: z.string(),
  actual: z.string(),
  manager: z.string(),
  action: z.enum(['corrected', 'reported']),
  detectedAt: z.string(),
});

export function readInstanceRoutes(api: Api, services: Services): void {
  const path = '/v1/organizations/:organization/instances/:instance';
  type Request = Parameters<Services['authenticate']>[0];
  const read = async <T>(
    request: Request,
    params: z.infer<typeof instanceParams>,
    work: (tx: TenantTx, row: InstanceRow, organization: string) => Promise<T>,
  ): Promise<T> => {
    const { organization } = await organizationScope(services, request, params.organization);
    return readTenant(services.db, organization.id, async (tx) => {
      const row = await findInstance(tx, params.instance);
      if (!row) throw notFound('Instance');
      return work(tx, row, organization.name);
    });
  };

  api.get(
    '/v1/organizations/:organization/instances',
    {
      schema: {
        tags: ['instances'],
        summary: 'List Instances',
        params: z.object({ organization: nameSchema }),
        querystring: pageQuery,
        response: { 200: listOf(instanceSchema), ...problems },
      },
    },
    async (request) => {
      const { organization } = await organizationScope(services, request, request.params.organization);
      const { limit, cursor } = request.query;
      const rows = await readTenant(services.db, organization.id, (tx) =>
        listInstances(tx, decodeCursor(cursor), limit + 1),
      );
      return page(
        rows,
        limit,
        (row) => showInstance(row, organization.name),
        (row) => row.name,
      );
    },
  );

  api.get(
    path,
    {
      schema: {
        tags: ['instances'],
        summary: 'Get an Instance',
        params: instanceParams,
        response: { 200: instanceSchema, ...problems },
      },
    },
    (request, reply) =>
      read(request, request.params, async (_tx, row, organization) => {
        reply.header('etag', etagOf(row));
        return showInstance(row, organization);
      }),
  );

  api.get(
    `${path}/desired`,
    {
      schema: {
        tags: ['instances'],
        summary: 'What the control plane wants on the data plane',
        params: instanceParams,
        response: { 200: desiredSchema, ...problems },
      },
    },
    (request) =>
      read(request, request.params, async (tx, row) => {
        const desired = await findDesired(tx, row);
        if (!desired?.spec) throw notFound('desired row');
        const { rev, generation, hash, spec, committedAt } = desired;
        return {
          revision: rev,
          generation,
          digest: hash,
          spec: shownParameters(spec),
          committedAt: committedAt.toISOString(),
        };
      }),
  );

  api.get(
    `${path}/observed`,
    {
      schema: {
        tags: ['instances'],
        summary: 'What the operator last reported; generation 0 when nothing yet',
        params: instanceParams,
        response: { 200: observedSchema, ...problems },
      },
    },
    (request) =>
      read(request, request.params, async (tx, row, organization) => {
        const observed = await findObserved(tx, row);
        const refusal = await findRefusal(tx, row, feedKey.instance(organization, row.name));
        return {
          generation: observed?.generation ?? 0,
          digest: observed?.digest ?? '',
          conditions: observed?.conditions ?? [],
          outputs: observed?.outputs ?? {},
          driftCount: observed?.driftCount ?? 0,
          ...(observed ? { reportedAt: observed.reportedAt.toISOString() } : {}),
          ...(refusal ? { refused: { ...refusal, at: refusal.at.toISOString() } } : {}),
        };
      }),
  );

  api.get(
    `${path}/drift`,
    {
      schema: {
        tags: ['instances'],
        summary: 'Owned fields that somebody changed, newest first',
        params: instanceParams,
        response: { 200: listOf(driftSchema), ...problems },
      },
    },
    (request) =>
      read(request, request.params, async (tx, row) => {
        const drift = await listDrift(tx, row);
        return { items: drift.map((item) => ({ ...item, detectedAt: item.detectedAt.toISOString() })) };
      }),
  );
}
