import { z } from 'zod';
import { conditionSchema } from '../conditions.ts';
import { desiredStampSchema, termSchema } from './instance.ts';

const quantity = z
  .string()
  .regex(/^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/, 'must be a Kubernetes quantity like 2 or 4Gi');

export const tenantSpecSchema = z.strictObject({
  organizationId: z.string().max(64).describe("The organization's id in the control plane.").optional(),
  quota: z
    .strictObject({
      cpu: quantity.describe('Of all containers together, requests and limits.').optional(),
      memory: quantity.describe('Of all containers together, requests and limits.').optional(),
      storage: quantity.describe('Of all volume claims together.').optional(),
      pods: z.number().int().min(0).max(100_000).describe('Pods at the same time.').optional(),
    })
    .describe('What all Instances of the tenant may use here together.')
    .optional(),
});
export type TenantSpec = z.infer<typeof tenantSpecSchema>;

export const tenantStatusSchema = z.object({
  observedGeneration: z.number().int(),
  conditions: z.array(conditionSchema).max(16).optional(),
  desired: desiredStampSchema.optional(),
  term: termSchema.optional(),
  namespace: z.string().optional(),
});
export type TenantStatus = z.infer<typeof tenantStatusSchema>;
