import { counted, FEED_KINDS, sealingKeyId } from '@felucca/contract';
import { z } from 'zod';
import { asFeed, PLATFORM_TENANT, withPlatform } from '../../db/tenant.ts';
import { countHeldDeletions } from '../../feed/held.ts';
import { mutate } from '../../http/idempotency.ts';
import { mutationHeaders } from '../../http/openapi.ts';
import { notFound, Problem } from '../../http/problems.ts';
import { audit } from '../audit.ts';
import { commitToFeed, dataPlaneSubject, desiredChange } from '../desired.ts';
import { platformCaller } from '../platform-caller.ts';
import type { Api, Services } from '../services.ts';
import { decodeCursor, listOf, nameSchema, page, pageQuery, problems, sendAnswer } from '../shapes.ts';
import { countDataPlaneInstances, listLocalInstances, listRefusedRows } from './link-queries.ts';
import {
  type DataPlaneRow,
  findDataPlane,
  insertDataPlane,
  listDataPlanes,
  looksLikeId,
  markDataPlaneDeleted,
} from './queries.ts';
import { budgetOf, budgetSchema } from './settings.ts';

const dataPlaneSchema = z.object({
  id: z.string(),
  name: z.string(),
  createdAt: z.string(),
  joined: z.boolean(),
  ...budgetSchema.shape,
  link: z.object({
    connected: z.boolean(),
    lastSeenAt: z.string().optional(),
    operatorVersion: z.string().optional(),
    operatorInstance: z.string().optional(),
    /** Of the key that sensitive values are sealed to; none yet means that none are taken. */
    sealingKeyId: z.string().optional(),
    epoch: z.string(),
    head: z.string(),
    ackedCursor: z.string(),
    /** Revisions of this epoch that the operator has not acknowledged yet. */
    lag: z.string(),
  }),
});
const localSchema = z.object({
  key: z.string(),
  id: z.string(),
  local: z.boolean(),
  blueprint: z.string().optional(),
  conditions: z.array(z.unknown()),
  reportedAt: z.string(),
});
const refusedSchema = z.object({
  kind: z.enum(FEED_KINDS),
  key: z.string(),
  id: z.string(),
  revision: z.string(),
  code: z.string(),
  message: z.string(),
  retryable: z.boolean(),
  at: z.string(),
});
const params = z.object({ dataPlane: z.string().max(64) });

function show(row: DataPlaneRow): z.infer<typeof dataPlaneSchema> {
  return {
    id: row.id,
    name: row.name,
    createdAt: row.created_at.toISOString(),
    joined: row.joined_at !== null,
    ...budgetOf(row.spec),
    link: {
      connected: row.connected,
      ...(row.last_seen_at ? { lastSeenAt: row.last_seen_at.toISOString() } : {}),
      ...(row.operator_version ? { operatorVersion: row.operator_version } : {}),
      ...(row.operator_instance ? { operatorInstance: row.operator_instance } : {}),
      ...(row.sealing_key ? { sealingKeyId: sealingKeyId(row.sealing_key) } : {}),
      epoch: row.epoch,
      head: row.head,
      ackedCursor: row.acked_cursor,
      lag: String(BigInt(row.head) - BigInt(row.acked_cursor)),
    },
  };
}

export function dataPlaneRoutes(api: Api, services: Services): void {
  const { db, newId, signer } = services;
  const find = async (idOrName: string) => {
    const row = await withPlatform(db, (tx) => findDataPlane(tx, idOrName));
    if (!row) throw notFound('data plane');
    return row;
  };

  api.post(
    '/v1/data-planes',
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Create a data plane',
        headers: mutationHeaders,
        body: z.strictObject({
          name: nameSchema.refine(
            (name) => !looksLikeId(name),
            'must not look like an id; choose a name for people',
          ),
          id: z
            .uuidv7('must be the id of a data plane; `kubectl get dataplane default` of its cluster tells it')
            .optional()
            .describe(
              'Of a data plane that a restored database has lost: what its cluster holds is signed for this id, and can be adopted when its operator has joined again.',
            ),
        }),
        response: { 201: dataPlaneSchema, ...problems },
      },
    },
    async (request, reply) => {
      const caller = await platformCaller(services, request);
      const answer = await mutate(services, PLATFORM_TENANT, request, async (tx) => {
        const id = request.body.id ?? newId();
        await insertDataPlane(tx, id, request.body.name, newId());
        await audit(tx, newId(), caller, 'data-plane.create', `data-plane/${request.body.name}`);
        await commitToFeed(tx, signer, id, [desiredChange(dataPlaneSubject(id, 1), {})]);
        const row = (await findDataPlane(tx, id)) as DataPlaneRow;
        return { status: 201, headers: { location: `/v1/data-planes/${id}` }, body: show(row) };
      });
      return sendAnswer(reply, answer);
    },
  );

  api.get(
    '/v1/data-planes',
    {
      schema: {
        tags: ['data-planes'],
        summary: 'List data planes',
        querystring: pageQuery,
        response: { 200: listOf(dataPlaneSchema), ...problems },
      },
    },
    async (request) => {
      await platformCaller(services, request);
      const { limit, cursor } = request.query;
      const rows = await withPlatform(db, (tx) => listDataPlanes(tx, decodeCursor(cursor), limit + 1));
      return page(rows, limit, show, (row) => row.name);
    },
  );

  api.get(
    '/v1/data-planes/:dataPlane',
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Get a data plane and the state of its link',
        params,
        response: { 200: dataPlaneSchema, ...problems },
      },
    },
    async (request) => {
      await platformCaller(services, request);
      return show(await find(request.params.dataPlane));
    },
  );

  api.delete(
    '/v1/data-planes/:dataPlane',
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Delete a data plane without Instances',
        params,
        response: { 204: z.null(), ...problems },
      },
    },
    async (request, reply) => {
      const caller = await platformCaller(services, request);
      const row = await find(request.params.dataPlane);
      await withPlatform(db, async (tx) => {
        // Marked first: from here on no order can take it, so the count below is final.
        if (!(await markDataPlaneDeleted(tx, row.id))) throw notFound('data plane');
        const live = await asFeed(db, (feedTx) => countDataPlaneInstances(feedTx, row.id));
        if (live > 0)
          throw new Problem(
            'IN_USE',
            `Data plane "${row.name}" still has ${counted(live, 'Instance')}; delete ${live === 1 ? 'it' : 'them'} first.`,
          );
        const held = await asFeed(db, (feedTx) => countHeldDeletions(feedTx, row.id));
        if (held > 0)
          throw new Problem(
            'IN_USE',
            `${counted(held, 'deletion')} on data plane "${row.name}" ${held === 1 ? 'waits' : 'wait'} for a decision; ` +
              `release or reject ${held === 1 ? 'it' : 'them'} first (/v1/data-planes/${row.name}/held-deletions).`,
          );
        await audit(tx, newId(), caller, 'data-plane.delete', `data-plane/${row.name}`);
      });
      return reply.code(204).send(null);
    },
  );

  api.get(
    '/v1/data-planes/:dataPlane/local-instances',
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Instances applied on the cluster with kubectl',
        params,
        response: { 200: listOf(localSchema), ...problems },
      },
    },
    async (request) => {
      await platformCaller(services, request);
      const row = await find(request.params.dataPlane);
      return { items: await asFeed(db, (tx) => listLocalInstances(tx, row.id)) };
    },
  );

  api.get(
    '/v1/data-planes/:dataPlane/refused-rows',
    {
      schema: {
        tags: ['data-planes'],
        summary:
          'Rows that the operator could not apply, or refused, and why; those worth a retry are retried',
        params,
        response: { 200: listOf(refusedSchema), ...problems },
      },
    },
    async (request) => {
      await platformCaller(services, request);
      const row = await find(request.params.dataPlane);
      return { items: await asFeed(db, (tx) => listRefusedRows(tx, row.id)) };
    },
  );
}
