import type { FastifyRequest } from 'fastify';
import { createLookUpCache, type LookUpCache } from '../../db/look-up-cache.ts';
import { type Database, outsideTransactions } from '../../db/tenant.ts';
import { type Caller, requireTenant } from '../../http/api-keys.ts';
import { notFound, type Problem } from '../../http/problems.ts';
import type { Services } from '../services.ts';
import { findOrganization, type OrganizationRow } from './queries.ts';

/**
 * A deletion by another process takes effect within this time for whoever reads with a key of the platform, and the first to
 * order in its successor is told that there is none; keys of organizations notice at once.
 */
const CACHE_MS = 2_000;
const CACHE_ENTRIES = 10_000;

/** name → organization: every request of a tenant begins with it. One that is not there yet is asked for each time. */
export const createOrganizationLookUp = (db: Database, nowMs: () => number): LookUpCache<OrganizationRow> =>
  createLookUpCache<OrganizationRow>({
    ttlMs: CACHE_MS,
    remembersMissing: false,
    maxEntries: CACHE_ENTRIES,
    nowMs,
    admit: () => {},
    find: (name) => findOrganization(outsideTransactions(db), name),
  });

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
  const known = await services.organizationNamed(name);
  const isOthers = known !== undefined && caller.scope === 'organization' && known.id !== caller.tenantId;
  // Another process may have deleted the one that is remembered, and made this caller's under its name.
  if (isOthers) services.organizationNamed.forget(name);
  const organization = isOthers ? await services.organizationNamed(name) : known;
  if (!organization) throw notFound('organization');
  requireTenant(caller, organization.id);
  return { caller, organization };
}

/** For whoever finds, under its lock, that it is deleted: there may be another one of its name by now. */
export function isGone({ organizationNamed }: Services, organization: { name: string }): Problem {
  organizationNamed.forget(organization.name);
  return notFound('organization');
}
