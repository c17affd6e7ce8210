import type { StatusItem } from '@felucca/contract';
import { PLATFORM_TENANT } from '../db/tenant.ts';

/** What the database knows about the object that an item names. */
export interface Known {
  desired_tenant: string | null;
  desired_generation: string | null;
  observed_tenant: string | null;
  observed_local: boolean | null;
  organization: string | null;
  /** Names of outputs that the Blueprint marks sensitive. */
  sensitive: string[] | null;
}

type Verdict = { tenantId: string } | { reason: string };

/** Of one item, by what is known of its object. */
export const judge = (item: StatusItem, known: Known | undefined): Verdict =>
  item.local ? judgeLocal(item, known) : judgeDesired(item, known);

function judgeDesired(item: StatusItem, known: Known | undefined): Verdict {
  const tenantId = known?.desired_tenant ?? known?.observed_tenant;
  if (!known || !tenantId || known.observed_local === true)
    return { reason: 'no row with this id is or was in the feed of this data plane' };
  if (known.desired_generation === null) {
    // Its tombstone has been compacted; the end of the object is all that can still be said.
    return item.deleted ? { tenantId } : { reason: 'the row is no longer in the feed of this data plane' };
  }
  if (item.generation > Number(known.desired_generation))
    return {
      reason: `generation ${item.generation} was never asked for; newest is ${known.desired_generation}`,
    };
  const leaked = (known.sensitive ?? []).find((name) => 'value' in (item.outputs?.[name] ?? {}));
  if (leaked !== undefined)
    return { reason: `output "${leaked}" is sensitive and must be a secretRef; its value was not stored` };
  return { tenantId };
}

function judgeLocal(item: StatusItem, known: Known | undefined): Verdict {
  if (known?.desired_tenant || known?.observed_local === false)
    return { reason: 'this id belongs to a row of the feed, so the object is not local' };
  const organization = organizationOf(item);
  if (organization === '') return { tenantId: PLATFORM_TENANT };
  return known?.organization
    ? { tenantId: known.organization }
    : { reason: `there is no organization "${organization}"; create it to see its local objects` };
}

/** A namespaced local object belongs to the organization its namespace is named after. */
export function organizationOf(item: StatusItem): string {
  if (!item.local) return '';
  if (item.kind === 'Instance') return item.key.split('/', 1)[0] ?? '';
  return item.kind === 'Tenant' ? item.key : '';
}
