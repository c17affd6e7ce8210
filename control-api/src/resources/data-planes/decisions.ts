import type { FastifyRequest } from 'fastify';
import { withPlatform } from '../../db/tenant.ts';
import type { Caller } from '../../http/api-keys.ts';
import { notFound, Problem } from '../../http/problems.ts';
import { platformCaller } from '../platform-caller.ts';
import type { Services } from '../services.ts';
import { type DataPlaneRow, findDataPlane } from './queries.ts';

/** The data plane about which a person of the platform decides. @throws Problem when there is none, or the caller is none */
export async function decidedAbout(
  services: Services,
  request: FastifyRequest,
  idOrName: string,
): Promise<{ caller: Caller; dataPlane: DataPlaneRow }> {
  const caller = await platformCaller(services, request);
  const dataPlane = await withPlatform(services.db, (tx) => findDataPlane(tx, idOrName));
  if (!dataPlane) throw notFound('data plane');
  return { caller, dataPlane };
}

/**
 * Whoever decides has read a list: what is not on it any more is decided by nobody.
 * @param what the list is of, in the plural
 * @throws Problem CONFLICT naming the ids that are not listed, with nothing done
 */
export function refuseUnlisted(
  what: string,
  listed: readonly { id: string }[],
  ids: readonly string[],
): void {
  const missing = ids.filter((id) => !listed.some((row) => row.id === id));
  if (missing.length === 0) return;
  throw new Problem(
    'CONFLICT',
    `Not among the ${what}, or no longer: ${missing.slice(0, 5).join(', ')}. Nothing was done.`,
    {
      errors: missing.map((id) => ({
        pointer: `/ids/${ids.indexOf(id)}`,
        message: `is not an id of the ${what}`,
        remedy: `read the list of ${what} again`,
      })),
    },
  );
}
