import { z } from 'zod';
import { PLATFORM_TENANT, withTenant } from '../../db/tenant.ts';
import { type Caller, newKey } from '../../http/api-keys.ts';
import type { Answer } from '../../http/idempotency.ts';
import { notFound } from '../../http/problems.ts';
import { audit } from '../audit.ts';
import { holdOrganization, type OrganizationRow } from '../organizations/queries.ts';
import { isGone, organizationScope } from '../organizations/scope.ts';
import { platformCaller } from '../platform-caller.ts';
import type { Api, Services } from '../services.ts';
import { listOf, nameSchema, problems, sendAnswer } from '../shapes.ts';
import { insertKey, type KeyRow, listKeys, revokeKey } from './queries.ts';

const keySchema = z.object({
  id: z.string(),
  name: z.string(),
  scope: z.string(),
  createdAt: z.string(),
  revokedAt: z.string().optional(),
});
const newKeySchema = keySchema.extend({ key: z.string().describe('Shown once') });
const body = z.strictObject({ name: nameSchema });
const show = (row: KeyRow) => ({
  id: row.id,
  name: row.name,
  scope: row.scope,
  createdAt: row.created_at.toISOString(),
  ...(row.revoked_at ? { revokedAt: row.revoked_at.toISOString() } : {}),
});

export function apiKeyRoutes(api: Api, services: Services): void {
  const { db, hash, newId } = services;
  // No Idempotency-Key here: its stored answer would keep the secret.
  const create = (caller: Caller, name: string, organization?: OrganizationRow) =>
    withTenant(
      db,
      organization?.id ?? PLATFORM_TENANT,
      async (tx): Promise<Answer & { replayed: boolean }> => {
        if (organization && !(await holdOrganization(tx, organization.id)))
          throw isGone(services, organization);
        const scope = organization ? 'organization' : 'platform';
        const identity = { id: newId(), tenantId: tx.tenantId, scope } as const;
        const made = newKey(hash, identity);
        const row = await insertKey(tx, { ...identity, name, secretHash: made.secretHash });
        await audit(tx, newId(), caller, 'api-key.create', `api-key/${row.id}`, { name, scope });
        return { status: 201, headers: {}, body: { ...show(row), key: made.key }, replayed: false };
      },
    );
  const revoke = async (caller: Caller, tenantId: string, id: string) => {
    await withTenant(db, tenantId, async (tx) => {
      if (!(await revokeKey(tx, id))) throw notFound('API key');
      await audit(tx, newId(), caller, 'api-key.revoke', `api-key/${id}`);
    });
  };

  api.post(
    '/v1/api-keys',
    {
      schema: {
        tags: ['api-keys'],
        summary: 'Create a platform key',
        body,
        response: { 201: newKeySchema, ...problems },
      },
    },
    async (request, reply) => {
      const caller = await platformCaller(services, request);
      return sendAnswer(reply, await create(caller, request.body.name));
    },
  );
  api.get(
    '/v1/api-keys',
    {
      schema: {
        tags: ['api-keys'],
        summary: 'List platform keys',
        response: { 200: listOf(keySchema), ...problems },
      },
    },
    async (request) => {
      await platformCaller(services, request);
      return { items: (await withTenant(db, PLATFORM_TENANT, listKeys)).map(show) };
    },
  );
  api.delete(
    '/v1/api-keys/:id',
    {
      schema: {
        tags: ['api-keys'],
        summary: 'Revoke a platform key',
        params: z.object({ id: z.uuid() }),
        response: { 204: z.null(), ...problems },
      },
    },
    async (request, reply) => {
      await revoke(await platformCaller(services, request), PLATFORM_TENANT, request.params.id);
      return reply.code(204).send(null);
    },
  );

  const params = z.object({ organization: nameSchema });
  api.post(
    '/v1/organizations/:organization/api-keys',
    {
      schema: {
        tags: ['api-keys'],
        summary: 'Create a key of an organization',
        params,
        body,
        response: { 201: newKeySchema, ...problems },
      },
    },
    async (request, reply) => {
      const { caller, organization } = await organizationScope(
        services,
        request,
        request.params.organization,
      );
      return sendAnswer(reply, await create(caller, request.body.name, organization));
    },
  );
  api.get(
    '/v1/organizations/:organization/api-keys',
    {
      schema: {
        tags: ['api-keys'],
        summary: "List an organization's keys",
        params,
        response: { 200: listOf(keySchema), ...problems },
      },
    },
    async (request) => {
      const { organization } = await organizationScope(services, request, request.params.organization);
      return { items: (await withTenant(db, organization.id, listKeys)).map(show) };
    },
  );
  api.delete(
    '/v1/organizations/:organization/api-keys/:id',
    {
      schema: {
        tags: ['api-keys'],
        summary: "Revoke an organization's key",
        params: params.extend({ id: z.uuid() }),
        response: { 204: z.null(), ...problems },
      },
    },
    async (request, reply) => {
      const { caller, organization } = await organizationScope(
        services,
        request,
        request.params.organization,
      );
      await revoke(caller, organization.id, request.params.id);
      return reply.code(204).send(null);
    },
  );
}
