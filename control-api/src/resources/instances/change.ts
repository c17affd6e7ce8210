import { type BlueprintSpec, deletionPolicies, digestOf } from '@felucca/contract';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type TenantTx, withTenant } from '../../db/tenant.ts';
import { etagOf, requireMatch } from '../../http/etag.ts';
import { mutate } from '../../http/idempotency.ts';
import { changeHeaders } from '../../http/openapi.ts';
import { notFound, Problem } from '../../http/problems.ts';
import { traceparentOf } from '../../http/trace.ts';
import { findBlueprint, missingBlueprint } from '../blueprints/queries.ts';
import { isOvertaken, nextGeneration } from '../generation.ts';
import { organizationScope } from '../organizations/scope.ts';
import type { Api, Services } from '../services.ts';
import { problems, sendAnswer } from '../shapes.ts';
import { planOfChange, planSchema } from './plan.ts';
import { publishInstance } from './publish.ts';
import { findInstance, type InstanceRow, instanceUpdated } from './queries.ts';
import { acceptParameters, mergePatch, refuseImmutableChanges } from './rules.ts';
import { sealParameters, shownParameters } from './sealed-parameters.ts';
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
/** 200: nothing to change, or what a dry run found. */
export const changeResponse = {
  200: z.union([planSchema, instanceSchema]),
  202: acceptedSchema,
  ...problems,
};
export const dryRunQuery = z.strictObject({ dryRun: z.enum(['true', 'false']).optional() });

/** What somebody wants of the Instance as it is now, and what the audit shall say besides. */
export type Wish = (
  tx: TenantTx,
  before: InstanceRow,
  organization: string,
) => Promise<{ patch: Patch; audit?: Record<string, unknown> }>;

export function changeInstanceRoutes(api: Api, services: Services): void {
  api.patch(
    '/v1/organizations/:organization/instances/:instance',
    {
      schema: {
        tags: ['instances'],
        summary:
          'Change an Instance (JSON merge patch; needs If-Match); with ?dryRun=true what that would do to each child',
        headers: changeHeaders,
        params: instanceParams,
        querystring: dryRunQuery,
        body: patchBody,
        response: changeResponse,
      },
    },
    (request, reply) => {
      const wish: Wish = async () => ({ patch: request.body });
      return request.query.dryRun === 'true'
        ? planInstanceChange(services, request, reply, request.params, wish)
        : changeInstance(services, request, reply, request.params, wish, true);
    },
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
          response: { 200: instanceSchema, 202: acceptedSchema, ...problems },
        },
      },
      (request, reply) =>
        changeInstance(services, request, reply, request.params, async () => ({ patch: { suspend } }), false),
    );
}

/** Nothing is kept; an If-Match that comes is honoured. */
export async function planInstanceChange(
  services: Services,
  request: FastifyRequest,
  reply: FastifyReply,
  params: Params,
  wish: Wish,
) {
  const { organization } = await organizationScope(services, request, params.organization);
  const plan = await withTenant(services.db, organization.id, async (tx) => {
    const before = await findInstance(tx, params.instance);
    if (!before) throw notFound('Instance');
    const ifMatch = request.headers['if-match'];
    if (ifMatch !== undefined) requireMatch(ifMatch, etagOf(before));
    const { patch } = await wish(tx, before, organization.name);
    const after = await changed(services, tx, before, patch, organization.name);
    const blueprint = await pinnedBlueprint(tx, before.blueprintName, before.blueprintVersion);
    return planOfChange(
      organization.name,
      { blueprint, instance: before },
      { blueprint: after.blueprint, instance: after.row },
    );
  });
  return reply.code(200).send(plan);
}

export async function changeInstance(
  services: Services,
  request: FastifyRequest,
  reply: FastifyReply,
  params: Params,
  wish: Wish,
  needsMatch: boolean,
) {
  const { caller, organization } = await organizationScope(services, request, params.organization);
  let woken: string | undefined;
  const answer = await mutate(services, organization.id, request, async (tx) => {
    const before = await findInstance(tx, params.instance, 'FOR UPDATE OF i');
    if (!before) throw notFound('Instance');
    const ifMatch = request.headers['if-match'];
    if (needsMatch || ifMatch !== undefined) requireMatch(ifMatch, etagOf(before));
    const { patch, audit } = await wish(tx, before, organization.name);
    const after = await changed(services, tx, before, patch, organization.name);
    // So that no generation is spent on it, unless the cluster runs a newer one that this database has lost.
    if (sameWish(before, after.row) && !isOvertaken(before))
      return {
        status: 200,
        headers: { etag: etagOf(before) },
        body: showInstance(before, organization.name),
      };
    const updated = instanceUpdated(tx.tenantId, after.row);
    const { at, operation } = await publishInstance(services, tx, updated, {
      caller,
      organization,
      instance: after.row,
      kind: 'update',
      blueprint: after.blueprint,
      traceparent: traceparentOf(request),
      ...(audit ? { audit } : {}),
    });
    woken = before.dataPlaneId;
    return accepted({ ...after.row, ...at }, organization.name, operation);
  });
  if (woken) services.wake.committed([woken]);
  return sendAnswer(reply, answer);
}

/** The row as the patch wants it, under the next generation. */
async function changed(
  { hash }: Services,
  tx: TenantTx,
  before: InstanceRow,
  patch: Patch,
  organization: string,
) {
  const version = patch.version ?? before.blueprintVersion;
  const blueprint = await pinnedBlueprint(tx, before.blueprintName, version);
  const kept = before.parameters;
  const given = acceptParameters(
    blueprint,
    // Onto what the caller has seen.
    mergePatch(shownParameters(kept), patch.parameters ?? {}) as Record<string, unknown>,
    { organization, name: before.name },
    kept,
  );
  const parameters = await sealParameters(
    { tx, hash },
    { blueprint, parameters: given, kept },
    { instanceId: before.id, dataPlaneId: before.dataPlaneId },
  );
  refuseImmutableChanges(blueprint, before, parameters);
  const row: InstanceRow = {
    ...before,
    blueprintVersion: version,
    parameters,
    suspend: patch.suspend ?? before.suspend,
    deletionPolicy: patch.deletionPolicy ?? before.deletionPolicy,
    generation: nextGeneration(before),
  };
  return { row, blueprint };
}

/** @throws Problem INVALID */
export async function pinnedBlueprint(tx: TenantTx, name: string, version: string): Promise<BlueprintSpec> {
  const found = await findBlueprint(tx, name, version);
  if (found) return found.spec;
  throw new Problem('INVALID', `There is no Blueprint ${name} ${version}; see errors.`, {
    errors: [await missingBlueprint(tx, name, version)],
  });
}

function sameWish(a: InstanceRow, b: InstanceRow): boolean {
  const wish = (row: InstanceRow) =>
    digestOf([row.blueprintVersion, row.parameters, row.suspend, row.deletionPolicy]);
  return wish(a) === wish(b);
}
