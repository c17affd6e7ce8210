import {
  BLUEPRINT_VERSION_PATTERN,
  blueprintSpecSchema,
  checkBlueprint,
  counted,
  digestOf,
} from '@felucca/contract';
import { z } from 'zod';
import { PLATFORM_TENANT, withPlatform } from '../../db/tenant.ts';
import { mutate } from '../../http/idempotency.ts';
import { mutationHeaders } from '../../http/openapi.ts';
import { notFound, Problem } from '../../http/problems.ts';
import { audit } from '../audit.ts';
import { platformCaller } from '../platform-caller.ts';
import type { Api, Services } from '../services.ts';
import { decodeCursor, listOf, nameSchema, page, pageQuery, problems, sendAnswer } from '../shapes.ts';
import { type BlueprintRow, findBlueprint, insertBlueprint, listBlueprints } from './queries.ts';

const summary = z.object({
  name: z.string(),
  version: z.string(),
  digest: z.string(),
  title: z.string().optional(),
  publishedAt: z.string(),
});
const blueprintSchema = summary.extend({ spec: z.record(z.string(), z.unknown()) });
const params = z.object({
  blueprint: nameSchema,
  version: z.string().regex(BLUEPRINT_VERSION_PATTERN, 'must be a version like 1.4.0'),
});

const show = (row: BlueprintRow) => ({
  name: row.name,
  version: row.version,
  digest: row.digest,
  ...(row.spec.title ? { title: row.spec.title } : {}),
  publishedAt: row.published_at.toISOString(),
  spec: row.spec as Record<string, unknown>,
});

export function blueprintRoutes(api: Api, services: Services): void {
  const { db, newId } = services;

  api.post(
    '/v1/blueprints',
    {
      schema: {
        tags: ['blueprints'],
        summary: 'Publish a Blueprint version',
        headers: mutationHeaders,
        description:
          'A version is immutable. Publishing the same content again changes nothing; other content under the same version is refused.',
        body: blueprintSpecSchema,
        response: { 200: blueprintSchema, 201: blueprintSchema, ...problems },
      },
    },
    async (request, reply) => {
      const caller = await platformCaller(services, request);
      const spec = request.body;
      const errors = checkBlueprint(spec).map(({ path, message, remedy }) => ({
        pointer: path,
        message,
        remedy,
      }));
      if (errors.length > 0)
        throw new Problem(
          'INVALID',
          `Blueprint ${spec.name} ${spec.version} has ${counted(errors.length, 'error')}; nothing was published.`,
          { errors },
        );
      const digest = digestOf(spec);
      const answer = await mutate(services, PLATFORM_TENANT, request, async (tx) => {
        const inserted = await insertBlueprint(tx, spec, digest);
        const row = (await findBlueprint(tx, spec.name, spec.version)) as BlueprintRow;
        if (row.digest !== digest)
          throw new Problem(
            'IMMUTABLE',
            `${spec.name} ${spec.version} was published with other content; publish a new version.`,
          );
        if (inserted)
          await audit(tx, newId(), caller, 'blueprint.publish', `blueprint/${spec.name}/${spec.version}`, {
            digest,
          });
        return {
          status: inserted ? 201 : 200,
          headers: { location: `/v1/blueprints/${spec.name}/${spec.version}` },
          body: show(row),
        };
      });
      return sendAnswer(reply, answer);
    },
  );

  api.get(
    '/v1/blueprints',
    {
      schema: {
        tags: ['blueprints'],
        summary: 'List Blueprint versions',
        querystring: pageQuery,
        response: { 200: listOf(summary), ...problems },
      },
    },
    async (request) => {
      // The catalogue is for tenants too: they order from it.
      await services.authenticate(request);
      const { limit, cursor } = request.query;
      const rows = await withPlatform(db, (tx) => listBlueprints(tx, decodeCursor(cursor), limit + 1));
      return page(
        rows,
        limit,
        ({ published_at, title, ...row }) => ({
          ...row,
          ...(title ? { title } : {}),
          publishedAt: published_at.toISOString(),
        }),
        (row) => `${row.name} ${row.version}`,
      );
    },
  );

  api.get(
    '/v1/blueprints/:blueprint/:version',
    {
      schema: {
        tags: ['blueprints'],
        summary: 'Get a Blueprint version',
        params,
        response: { 200: blueprintSchema, ...problems },
      },
    },
    async (request) => {
      await services.authenticate(request);
      const row = await withPlatform(db, (tx) =>
        findBlueprint(tx, request.params.blueprint, request.params.version),
      );
      if (!row) throw notFound('Blueprint version');
      return show(row);
    },
  );
}
