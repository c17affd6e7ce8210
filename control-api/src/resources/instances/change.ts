import { deletionPolicies, digestOf } from '@felucca/contract';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { TenantTx } from '../../db/tenant.ts';
import { etagOf, requireMatch } from '../../http/etag.ts';
import { mutate } from '../../http/idempotency.ts';
import { changeHeaders } from '../../http/openapi.ts';
import { notFound, Problem } from '../../http/problems.ts';
import { traceparentOf } from '../../http/trace.ts';
import { findBlueprint } from '../blueprints/queries.ts';
import { organizationScope } from '../organizations/scope.ts';
import type { Api, Services } from '../services.ts';
import { problems, sendAnswer } from '../shapes.ts';
import { publishInstance } from './publish.ts';
import { findInstance, type InstanceRow, updateInstance } from './queries.ts';
import { acceptParameters, mergePatch, refuseImmutableChanges } from './rules.ts';
import {
  accepted,
  acceptedSchema,
  instanceParams,
  instanceSchema,
  showInstance,
  versionSchema,
} from './shape.ts';

/** RFC 7396 over these fields; in `parameters`, null takes a parameter back to its default. */
const patchBody = z.strictObject({
  version: versionSchema.optional(),
  parameters: z.record(z.string(), z.unknown()).optional(),
  suspend: z.boolean().optional(),
  deletionPolicy: z.enum(deletionPolicies).optional(),
});
type Patch = z.infer<typeof patchBody>;
type Params = z.infer<typeof instanceParams>;
const response = { 200: instanceSchema, 202: acceptedSchema, ...problems };

export function changeInstanceRoutes(api: Api, services: Services): void {
  api.patch(
    '/v1/organizations/:organization/instances/:instance',
    {
      schema: {
        tags: ['instances'],
        summary: 'Change an Instance (JSON merge patch; needs If-Match)',
        headers: changeHeaders,
        params: instanceParams,
        body: patchBody,
        response,
      },
    },
    (request, reply) => change(services, request, reply, request.params, request.body, true),
  );
  // Suspend and resume say all there is to say, so they need no If-Match; one that comes is honoured.
  for (const [verb, suspend] of [
    ['suspend', true],
    ['resume', false],
  ] as const)
    api.post(
      `/v1/organizations/:organization/instances/:instance/${verb}`,
      {
        schema: {
          tags: ['instances'],
          summary: suspend ? 'Scale to zero, keep data' : 'Bring a suspended Instance back',
          headers: changeHeaders,
          params: instanceParams,
          response,
        },
      },
      (request, reply) => change(services, request, reply, request.params, { suspend }, false),
    );
}

async function change(
  services: Services,
  request: FastifyRequest,
  reply: FastifyReply,
  params: Params,
  patch: Patch,
  needsMatch: boolean,
) {
  const { caller, organization } = await organizationScope(services, request, params.organization);
  let woken: string | undefined;
  const answer = await mutate(services.db, organization.id, request, async (tx) => {
    const before = await findInstance(tx, params.instance, 'FOR UPDATE OF i');
    if (!before) throw notFound('Instance');
    const ifMatch = request.headers['if-match'];
    if (needsMatch || ifMatch !== undefined) requireMatch(ifMatch, etagOf(before));
    const after = await changed(tx, before, patch, organization.name);
    if (!after)
      return {
        status: 200,
        headers: { etag: etagOf(before) },
        body: showInstance(before, organization.name),
      };
    const updatedAt = await updateInstance(tx, after.row);
    const operation = await publishInstance(services, tx, {
      caller,
      organization,
      instance: after.row,
      kind: 'update',
      blueprint: after.blueprint,
      traceparent: traceparentOf(request),
    });
    woken = before.dataPlaneId;
    return accepted({ ...after.row, updatedAt }, organization.name, operation);
  });
  if (woken) services.wake.committed([woken]);
  return sendAnswer(reply, answer);
}

/** The row as the patch wants it; undefined when nothing changes, so that no generation is spent on it. */
async function changed(tx: TenantTx, before: InstanceRow, patch: Patch, organization: string) {
  const version = patch.version ?? before.blueprintVersion;
  const blueprint = (await findBlueprint(tx, before.blueprintName, version))?.spec;
  if (!blueprint)
    throw new Problem(
      'INVALID',
      `There is no Blueprint ${before.blueprintName} ${version}; see GET /v1/blueprints.`,
      {
        errors: [
          {
            pointer: '/version',
            message: `${before.blueprintName} ${version} does not exist`,
            remedy: 'publish it first',
          },
        ],
      },
    );
  const parameters = acceptParameters(
    blueprint,
    mergePatch(before.parameters, patch.parameters ?? {}) as Record<string, unknown>,
    { organization, name: before.name },
  );
  refuseImmutableChanges(blueprint, before, parameters);
  const row: InstanceRow = {
    ...before,
    blueprintVersion: version,
    parameters,
    suspend: patch.suspend ?? before.suspend,
    deletionPolicy: patch.deletionPolicy ?? before.deletionPolicy,
  };
  if (sameWish(before, row)) return undefined;
  return { row: { ...row, generation: before.generation + 1 }, blueprint };
}

function sameWish(a: InstanceRow, b: InstanceRow): boolean {
  const wish = (row: InstanceRow) =>
    digestOf([row.blueprintVersion, row.parameters, row.suspend, row.deletionPolicy]);
  return wish(a) === wish(b);
}
