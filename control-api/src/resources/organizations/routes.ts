import { counted } from '@felucca/contract';
import { z } from 'zod';
import { PLATFORM_TENANT, withPlatform, withTenant } from '../../db/tenant.ts';
import { requirePlatform } from '../../http/api-keys.ts';
import { mutate } from '../../http/idempotency.ts';
import { mutationHeaders } from '../../http/openapi.ts';
import { notFound, Problem } from '../../http/problems.ts';
import { audit } from '../audit.ts';
import { countHeldHere } from '../data-planes/held-queries.ts';
import { commitToFeed, desiredChange, tenantSubject } from '../desired.ts';
import { countLiveInstances } from '../instances/queries.ts';
import { platformCaller } from '../platform-caller.ts';
import type { Api, Services } from '../services.ts';
import { decodeCursor, listOf, nameSchema, page, pageQuery, problems, sendAnswer } from '../shapes.ts';
import {
  countUnknownOf,
  dataPlanesOfTenant,
  insertOrganization,
  listOrganizations,
  lockOrganization,
  markOrganizationDeleted,
  type OrganizationRow,
} from './queries.ts';
import { organizationScope } from './scope.ts';

const organizationSchema = z.object({ id: z.string(), name: z.string(), createdAt: z.string() });
const show = (row: OrganizationRow) => ({
  id: row.id,
  name: row.name,
  createdAt: row.created_at.toISOString(),
});
const params = z.object({ organization: nameSchema });

export function organizationRoutes(api: Api, services: Services): void {
  const { db, newId } = services;

  api.post(
    '/v1/organizations',
    {
      schema: {
        tags: ['organizations'],
        summary: 'Create an organization',
        headers: mutationHeaders,
        body: z.strictObject({ name: nameSchema }),
        response: { 201: organizationSchema, ...problems },
      },
    },
    async (request, reply) => {
      const caller = await platformCaller(services, request);
      const answer = await mutate(services, PLATFORM_TENANT, request, async (tx) => {
        const row = await insertOrganization(tx, newId(), request.body.name);
        await audit(tx, newId(), caller, 'organization.create', `organization/${row.name}`);
        return { status: 201, headers: { location: `/v1/organizations/${row.name}` }, body: show(row) };
      });
      return sendAnswer(reply, answer);
    },
  );

  api.get(
    '/v1/organizations',
    {
      schema: {
        tags: ['organizations'],
        summary: 'List organizations',
        querystring: pageQuery,
        response: { 200: listOf(organizationSchema), ...problems },
      },
    },
    async (request) => {
      await platformCaller(services, request);
      const { limit, cursor } = request.query;
      const rows = await withPlatform(db, (tx) => listOrganizations(tx, decodeCursor(cursor), limit + 1));
      return page(rows, limit, show, (row) => row.name);
    },
  );

  api.get(
    '/v1/organizations/:organization',
    {
      schema: {
        tags: ['organizations'],
        summary: 'Get an organization',
        params,
        response: { 200: organizationSchema, ...problems },
      },
    },
    async (request) =>
      show((await organizationScope(services, request, request.params.organization)).organization),
  );

  api.delete(
    '/v1/organizations/:organization',
    {
      schema: {
        tags: ['organizations'],
        summary: 'Delete an organization that has no Instances',
        params,
        response: { 204: z.null(), ...problems },
      },
    },
    async (request, reply) => {
      const { caller, organization } = await organizationScope(
        services,
        request,
        request.params.organization,
      );
      requirePlatform(caller);
      const dataPlanes = await withTenant(db, organization.id, async (tx) => {
        if (!(await lockOrganization(tx, organization.id))) throw notFound('organization');
        const live = await countLiveInstances(tx);
        if (live > 0)
          throw new Problem(
            'IN_USE',
            `Organization "${organization.name}" still has ${counted(live, 'Instance')}; delete ${live === 1 ? 'it' : 'them'} first.`,
          );
        const held = await countHeldHere(tx);
        if (held > 0)
          throw new Problem(
            'IN_USE',
            `${counted(held, 'deletion')} of Instances of organization "${organization.name}" ${held === 1 ? 'waits' : 'wait'} for a decision; ` +
              'release or reject them first (/v1/data-planes/<name>/held-deletions).',
          );
        const unknown = await countUnknownOf(tx);
        if (unknown > 0)
          throw new Problem(
            'IN_USE',
            `Data planes hold ${counted(unknown, 'object')} of organization "${organization.name}" that ${unknown === 1 ? 'is' : 'are'} not known here; ` +
              'adopt or remove them first (/v1/data-planes/<name>/unknown-objects).',
          );
        await markOrganizationDeleted(tx);
        await audit(tx, newId(), caller, 'organization.delete', `organization/${organization.name}`);
        const having = await dataPlanesOfTenant(tx);
        for (const id of having)
          await commitToFeed(tx, services.signer, id, [
            desiredChange(tenantSubject(organization), undefined),
          ]);
        return having;
      });
      services.organizationNamed.forget(organization.name);
      services.wake.committed(dataPlanes);
      return reply.code(204).send(null);
    },
  );
}
