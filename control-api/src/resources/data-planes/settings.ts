import { type DataPlaneSpec, DEFAULT_BUDGET, dataPlaneSpecSchema } from '@felucca/contract';
import { z } from 'zod';
import { PLATFORM_TENANT } from '../../db/tenant.ts';
import { mutate } from '../../http/idempotency.ts';
import { mutationHeaders } from '../../http/openapi.ts';
import { notFound } from '../../http/problems.ts';
import { audit } from '../audit.ts';
import { nextGeneration } from '../generation.ts';
import type { Api, Services } from '../services.ts';
import { problems, sendAnswer } from '../shapes.ts';
import { decidedAbout } from './decisions.ts';
import { lockDataPlaneSpec } from './held-queries.ts';
import { isNews, publishSettings, withOwnKeys } from './publish-settings.ts';

const { deletionBudgetPercent, deletionWindowSeconds } = dataPlaneSpecSchema.shape;
/** Null takes one back to its default. */
const body = z
  .strictObject({
    deletionBudgetPercent: deletionBudgetPercent.unwrap().nullable().optional(),
    deletionWindowSeconds: deletionWindowSeconds.unwrap().nullable().optional(),
  })
  .refine((settings) => Object.keys(settings).length > 0, 'names no setting; name at least one');
export const budgetSchema = z.object({
  deletionBudgetPercent: z.number().int(),
  deletionWindowSeconds: z.number().int(),
});

/** What a data plane's budget is, here and at its operator, which reads it from the data plane's own signed row. */
export function dataPlaneSettingsRoute(api: Api, services: Services): void {
  api.patch(
    '/v1/data-planes/:dataPlane',
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Change the deletion budget of a data plane (JSON merge patch)',
        headers: mutationHeaders,
        params: z.object({ dataPlane: z.string().max(64) }),
        body,
        response: { 200: budgetSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { caller, dataPlane } = await decidedAbout(services, request, request.params.dataPlane);
      const answer = await mutate(services, PLATFORM_TENANT, request, async (tx) => {
        const before = await lockDataPlaneSpec(tx, dataPlane.id);
        if (!before) throw notFound('data plane');
        const spec = withOwnKeys(patched(before.spec, request.body), services.signer);
        const body = budgetOf(spec);
        if (!isNews(before, spec)) return { status: 200, headers: {}, body };
        await audit(tx, services.newId(), caller, 'data-plane.change', `data-plane/${dataPlane.name}`, {
          ...request.body,
        });
        await publishSettings(tx, services.signer, dataPlane.id, spec, nextGeneration(before));
        return { status: 200, headers: {}, body };
      });
      services.wake.committed([dataPlane.id]);
      return sendAnswer(reply, answer);
    },
  );
}

function patched(spec: DataPlaneSpec, patch: z.infer<typeof body>): DataPlaneSpec {
  const kept = Object.entries({ ...spec, ...patch }).filter(
    ([, value]) => value !== null && value !== undefined,
  );
  return Object.fromEntries(kept) as DataPlaneSpec;
}

/** In effect: as set, or by default. */
export const budgetOf = (spec: DataPlaneSpec): z.infer<typeof budgetSchema> => ({
  deletionBudgetPercent: spec.deletionBudgetPercent ?? DEFAULT_BUDGET.percent,
  deletionWindowSeconds: spec.deletionWindowSeconds ?? DEFAULT_BUDGET.windowMs / 1000,
});
