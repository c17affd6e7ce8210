import type { FastifyRequest } from 'fastify';
import { outsideTransactions } from '../../db/tenant.ts';
import { type Caller, requireTenant } from '../../http/api-keys.ts';
import { notFound } from '../../http/problems.ts';
import type { Services } from '../services.ts';
import { findOrganization, type OrganizationRow } from './queries.ts';

/**
 * Who calls, and for which organization. Every route below /v1/organizations/{organization} begins here.
 * @throws Problem NOT_FOUND for a missing organization and for somebody else's alike
 */
export async function organizationScope(
  services: Services,
  request: FastifyRequest,
  name: string,
): Promise<{ caller: Caller; organization: OrganizationRow }> {
  const caller = await services.authenticate(request);
  const organization = await findOrganization(outsideTransactions(services.db), name);
  if (!organization) throw notFound('organization');
  requireTenant(caller, organization.id);
  return { caller, organization };
}
