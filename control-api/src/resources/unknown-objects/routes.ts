import { FEED_KINDS } from '@felucca/contract';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { asFeed } from '../../db/tenant.ts';
import { Problem } from '../../http/problems.ts';
import { decidedAbout, refuseUnlisted } from '../data-planes/decisions.ts';
import type { Api, Services } from '../services.ts';
import { listOf, problems } from '../shapes.ts';
import { type Adoption, adopt } from './adopt.ts';
import {
  countUnknown,
  DIFFERENCES,
  type Difference,
  findUnknown,
  listUnknown,
  type UnknownRow,
} from './queries.ts';
import { remove } from './remove.ts';

const LIST_LIMIT = 1_000;
/** Each is a transaction of its own; the rest comes with the next call. */
const MAX_DECISIONS = 500;

const differences = Object.keys(DIFFERENCES) as [Difference, ...Difference[]];
const unknownSchema = z.object({
  kind: z.enum(FEED_KINDS),
  key: z.string(),
  id: z.string(),
  organization: z.string().optional(),
  difference: z
    .enum(differences)
    .describe(differences.map((name) => `${name}: ${DIFFERENCES[name]}`).join('; ')),
  generation: z
    .number()
    .int()
    .optional()
    .describe('Of what the cluster runs; only if this control plane signed it'),
  databaseGeneration: z.number().int().optional(),
  adoptable: z.boolean().describe('Its content is known and signed by this control plane'),
  spec: z.record(z.string(), z.unknown()).optional(),
  since: z.string(),
  seenAt: z.string(),
});
const decided = z.object({ kind: z.enum(FEED_KINDS), key: z.string(), id: z.string() });
const refusal = decided.extend({ code: z.string(), message: z.string() });
const ids = z.array(z.string().max(64)).min(1).max(MAX_DECISIONS);
const params = z.object({ dataPlane: z.string().max(64) });

/** What a data plane holds and the database does not know, as after a restore; and what a person decides about it. */
export function unknownObjectRoutes(api: Api, services: Services): void {
  const path = '/v1/data-planes/:dataPlane/unknown-objects';
  const { db } = services;
  api.get(
    path,
    {
      schema: {
        tags: ['data-planes'],
        summary:
          'Objects of ours in the cluster that the database does not know, or only in an older generation',
        params,
        response: { 200: listOf(unknownSchema), ...problems },
      },
    },
    async (request) => {
      const { dataPlane } = await begin(services, request, request.params.dataPlane);
      return { items: (await asFeed(db, (tx) => listUnknown(tx, dataPlane.id, LIST_LIMIT))).map(show) };
    },
  );

  api.post(
    `${path}/adopt`,
    {
      schema: {
        tags: ['data-planes'],
        summary:
          'Take unknown objects back into the database as the cluster runs them; nothing in it is touched',
        description: `By id, or all; at most ${MAX_DECISIONS} a call. Asked again, it goes on with the rest.`,
        params,
        body: z.union([z.strictObject({ ids }), z.strictObject({ all: z.literal(true) })]),
        response: {
          200: z.object({
            adopted: z.array(decided),
            refused: z.array(refusal),
            left: z.number().int().describe('Still listed, the refused ones included'),
          }),
          ...problems,
        },
      },
    },
    async (request) => {
      const adoption = await begin(services, request, request.params.dataPlane);
      const wanted = 'ids' in request.body ? request.body.ids : undefined;
      const { done, refused } = await each(adoption, wanted, adopt);
      const left = await asFeed(db, (tx) => countUnknown(tx, adoption.dataPlane.id));
      return { adopted: done, refused, left };
    },
  );

  api.post(
    `${path}/remove`,
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Have the operator delete unknown objects, data included, within its deletion budget',
        params,
        // Never all: whoever deletes has seen what.
        body: z.strictObject({ ids }),
        response: { 202: z.object({ removing: z.array(decided), refused: z.array(refusal) }), ...problems },
      },
    },
    async (request, reply) => {
      const adoption = await begin(services, request, request.params.dataPlane);
      const { done, refused } = await each(adoption, request.body.ids, remove);
      return reply.code(202).send({ removing: done, refused });
    },
  );
}

const begin = async (services: Services, request: FastifyRequest, idOrName: string): Promise<Adoption> => ({
  services,
  ...(await decidedAbout(services, request, idOrName)),
});

/** One that is refused keeps no other from being decided. */
async function each(
  adoption: Adoption,
  wanted: readonly string[] | undefined,
  act: (adoption: Adoption, row: UnknownRow) => Promise<void>,
) {
  const { services, dataPlane } = adoption;
  const rows = await asFeed(services.db, (tx) => findUnknown(tx, dataPlane.id, wanted, MAX_DECISIONS));
  refuseUnlisted('unknown objects', rows, wanted ?? []);
  const done: z.infer<typeof decided>[] = [];
  const refused: z.infer<typeof refusal>[] = [];
  for (const row of rows) {
    const { kind, key, id } = row;
    try {
      await act(adoption, row);
      done.push({ kind, key, id });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      refused.push({ kind, key, id, code: error.code, message: error.message });
    }
  }
  if (done.length > 0) services.wake.committed([dataPlane.id]);
  return { done, refused };
}

function show(row: UnknownRow): z.infer<typeof unknownSchema> {
  const { kind, key, id, difference, organization, generation, databaseGeneration, spec } = row;
  return {
    kind,
    key,
    id,
    ...(organization === null ? {} : { organization }),
    difference,
    ...(generation === null ? {} : { generation }),
    ...(databaseGeneration === null ? {} : { databaseGeneration }),
    adoptable: generation !== null && spec !== null && difference !== 'removing',
    ...(spec === null ? {} : { spec }),
    since: row.since.toISOString(),
    seenAt: row.seenAt.toISOString(),
  };
}
