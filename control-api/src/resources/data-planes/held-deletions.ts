import { type DataPlaneSpec, FEED_KINDS, MAX_RELEASED_DELETIONS } from '@felucca/contract';
import { z } from 'zod';
import { asFeed, PLATFORM_TENANT, withPlatform, withTenant } from '../../db/tenant.ts';
import { mutate } from '../../http/idempotency.ts';
import { mutationHeaders } from '../../http/openapi.ts';
import { notFound, Problem } from '../../http/problems.ts';
import { traceparentOf } from '../../http/trace.ts';
import { audit } from '../audit.ts';
import { commitToFeed, desiredChange } from '../desired.ts';
import { nextGeneration } from '../generation.ts';
import { restoreInstance } from '../instances/restore.ts';
import { tellReleased } from '../operations/queries.ts';
import type { Api, Services } from '../services.ts';
import { listOf, problems, sendAnswer } from '../shapes.ts';
import { adoptRemoved } from '../unknown-objects/adopt.ts';
import { decidedAbout, refuseUnlisted } from './decisions.ts';
import {
  type HeldRow,
  HOLDERS,
  listHeldDeletions,
  listNotEnded,
  lockDataPlaneSpec,
  lockHeldHere,
} from './held-queries.ts';
import { isNews, publishSettings, withOwnKeys } from './publish-settings.ts';
import { findDataPlane } from './queries.ts';

const heldSchema = z.object({
  kind: z.enum(FEED_KINDS),
  key: z.string(),
  id: z.string(),
  generation: z.number().int(),
  heldBy: z.enum(HOLDERS).describe('Whose budget it exceeds: it waits there, and has gone no further.'),
  deletedAt: z.string(),
  heldAt: z.string(),
  message: z.string(),
});
const params = z.object({ dataPlane: z.string().max(64) });
/** By id and one by one: whoever decides has seen what they decide about. */
const body = z.strictObject({ ids: z.array(z.uuid()).min(1).max(MAX_RELEASED_DELETIONS) });

/**
 * Deletions beyond a budget, ours or the operator's. A release is a signed row that names them; the operator decides by
 * that row and by nothing that is said on the way. What we held goes into the feed behind it.
 */
export function heldDeletionRoutes(api: Api, services: Services): void {
  const path = '/v1/data-planes/:dataPlane/held-deletions';
  api.get(
    path,
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Deletions that wait for a person, because they exceed a budget',
        params,
        response: { 200: listOf(heldSchema), ...problems },
      },
    },
    async (request) => {
      const { dataPlane } = await decidedAbout(services, request, request.params.dataPlane);
      const rows = await asFeed(services.db, (tx) => listHeldDeletions(tx, dataPlane.id));
      return {
        items: rows.map((row) => ({
          kind: row.kind,
          key: row.key,
          id: row.id,
          generation: row.generation,
          heldBy: row.heldBy,
          deletedAt: row.deletedAt.toISOString(),
          heldAt: row.heldAt.toISOString(),
          message: row.message,
        })),
      };
    },
  );

  api.post(
    `${path}/release`,
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Let held deletions go; the operator hears of it with the data plane’s next signed row',
        headers: mutationHeaders,
        params,
        body,
        response: { 202: z.object({ released: z.array(z.string()) }), ...problems },
      },
    },
    async (request, reply) => {
      const { caller, dataPlane } = await decidedAbout(services, request, request.params.dataPlane);
      const answer = await mutate(services, PLATFORM_TENANT, request, async (tx) => {
        const before = await lockDataPlaneSpec(tx, dataPlane.id);
        if (!before) throw notFound('data plane');
        const held = await asFeed(services.db, (feedTx) => listHeldDeletions(feedTx, dataPlane.id));
        const released = named(held, request.body.ids);
        const former = (before.spec.releasedDeletions ?? []).map(({ id }) => id);
        const going = await asFeed(services.db, (feedTx) => listNotEnded(feedTx, dataPlane.id, former));
        const spec = withOwnKeys(withReleased(before.spec, going, released), services.signer);
        const body = { released: released.map(({ id }) => id) };
        // All of them are permitted already.
        if (!isNews(before, spec)) return { status: 202, headers: {}, body };
        for (const { kind, key, id } of released)
          await audit(tx, services.newId(), caller, 'deletion.release', `${kind.toLowerCase()}/${key}`, {
            id,
            dataPlane: dataPlane.name,
          });
        await publishSettings(tx, services.signer, dataPlane.id, spec, nextGeneration(before));
        return { status: 202, headers: {}, body };
      });
      await sendPermitted(services, dataPlane.id);
      services.wake.committed([dataPlane.id]);
      return sendAnswer(reply, answer);
    },
  );

  api.post(
    `${path}/reject`,
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Take held deletions back: the Instances are wanted again, as they were',
        description:
          'One that the database does not know, whose removal was asked for, is adopted as the cluster runs it.',
        params,
        body,
        response: { 202: z.object({ restored: z.array(z.string()) }), ...problems },
      },
    },
    async (request, reply) => {
      const { caller, dataPlane } = await decidedAbout(services, request, request.params.dataPlane);
      const held = await asFeed(services.db, (tx) => listHeldDeletions(tx, dataPlane.id));
      // Each in its own tenant's transaction: asked again, what is restored already is no longer held.
      const wanted = named(held, request.body.ids);
      for (const row of wanted) mustBeInstance(row);
      try {
        for (const { kind, key, id, tenantId } of wanted) {
          const deletion = { caller, tenantId, id, traceparent: traceparentOf(request) };
          if (!(await restoreInstance(services, deletion)))
            await adoptRemoved({ services, caller, dataPlane }, { key, id });
          await withPlatform(services.db, (tx) =>
            audit(tx, services.newId(), caller, 'deletion.reject', `${kind.toLowerCase()}/${key}`, {
              id,
              dataPlane: dataPlane.name,
            }),
          );
        }
      } finally {
        services.wake.committed([dataPlane.id]);
      }
      return reply.code(202).send({ restored: wanted.map(({ id }) => id) });
    },
  );
}

function named(held: readonly HeldRow[], ids: readonly string[]): HeldRow[] {
  refuseUnlisted('held deletions', held, ids);
  return held.filter((row) => ids.includes(row.id));
}

function mustBeInstance({ kind, key }: HeldRow): void {
  if (kind !== 'Instance')
    throw new Problem(
      'CONFLICT',
      `${kind} ${key} can't be taken back: its organization is deleted. Release it, or create the organization anew.`,
    );
}

/**
 * The operator has its permission: now the deletion may come. Also one of which a former request got no further than that;
 * not another deletion of the same Instance, which has a generation that nobody permitted.
 */
async function sendPermitted(services: Services, dataPlaneId: string): Promise<void> {
  const dataPlane = await withPlatform(services.db, (tx) => findDataPlane(tx, dataPlaneId));
  const permitted = dataPlane?.spec.releasedDeletions ?? [];
  const waiting = await asFeed(services.db, (tx) => listHeldDeletions(tx, dataPlaneId));
  for (const row of waiting)
    if (
      row.heldBy === 'control-plane' &&
      permitted.some(({ id, generation }) => id === row.id && generation === row.generation)
    )
      await sendDeletion(services, dataPlaneId, row);
}

/** The tombstone that our own budget held back. */
async function sendDeletion(
  services: Services,
  dataPlaneId: string,
  { tenantId, id }: HeldRow,
): Promise<void> {
  await withTenant(services.db, tenantId, async (tx) => {
    const held = await lockHeldHere(tx, dataPlaneId, id);
    if (!held) return;
    const { key, generation, traceparent } = held;
    await tellReleased(tx, id, generation);
    const tombstone = desiredChange(
      { tenantId, kind: 'Instance', key, id, generation },
      undefined,
      traceparent,
    );
    await commitToFeed(tx, services.signer, dataPlaneId, [{ ...tombstone, released: true }]);
  });
}

/** What has gone needs no permission any more. */
function withReleased(
  spec: DataPlaneSpec,
  going: readonly string[],
  released: readonly HeldRow[],
): DataPlaneSpec {
  const former = (spec.releasedDeletions ?? []).filter(
    ({ id }) => going.includes(id) && !released.some((row) => row.id === id),
  );
  const releasedDeletions = [...former, ...released.map(({ id, generation }) => ({ id, generation }))];
  if (releasedDeletions.length <= MAX_RELEASED_DELETIONS) return { ...spec, releasedDeletions };
  throw new Problem(
    'CONFLICT',
    `At most ${MAX_RELEASED_DELETIONS} deletions can be on their way at once; release the rest when these are gone.`,
  );
}
