import {
  BLUEPRINT_VERSION_PATTERN,
  conditionSchema,
  deletionPolicies,
  outputSchema,
} from '@felucca/contract';
import { z } from 'zod';
import { etagOf } from '../../http/etag.ts';
import { type OperationRow, operationSchema, showOperation } from '../operations/shape.ts';
import { nameSchema } from '../shapes.ts';
import type { InstanceRow } from './queries.ts';
import { shownParameters } from './sealed-parameters.ts';

export const versionSchema = z.string().regex(BLUEPRINT_VERSION_PATTERN, 'must be a version like 1.4.0');
export const instanceParams = z.object({ organization: nameSchema, instance: nameSchema });

export const instanceSchema = z.object({
  id: z.string(),
  organization: z.string(),
  name: z.string(),
  dataPlane: z.string(),
  blueprint: z.string(),
  version: z.string(),
  parameters: z
    .record(z.string(), z.unknown())
    .describe('A sensitive value is shown as {"sealed": "<name>"}; sent back it stays what it is'),
  suspend: z.boolean(),
  deletionPolicy: z.enum(deletionPolicies),
  generation: z.number().int(),
  createdAt: z.string(),
  updatedAt: z.string(),
});
/** Answer of a mutation: the resource as it is wanted now, and the operation to follow. */
export const acceptedSchema = instanceSchema.extend({ operation: operationSchema });

export const observedSchema = z.object({
  /** Control-plane generation that the status speaks about; 0 until the operator reported. */
  generation: z.number().int(),
  digest: z.string(),
  conditions: z.array(conditionSchema),
  outputs: z.record(z.string(), outputSchema),
  driftCount: z.number().int(),
  reportedAt: z.string().optional(),
  refused: z
    .object({ code: z.string(), message: z.string(), retryable: z.boolean(), at: z.string() })
    .optional(),
});

export function showInstance(row: InstanceRow, organization: string): z.infer<typeof instanceSchema> {
  return {
    id: row.id,
    organization,
    name: row.name,
    dataPlane: row.dataPlane,
    blueprint: row.blueprintName,
    version: row.blueprintVersion,
    parameters: shownParameters(row.parameters),
    suspend: row.suspend,
    deletionPolicy: row.deletionPolicy,
    generation: row.generation,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

/** 202: written, not yet real. `Location` leads to the operation. */
export function accepted(row: InstanceRow, organization: string, operation: OperationRow) {
  return {
    status: 202,
    headers: {
      location: `/v1/organizations/${organization}/operations/${operation.id}`,
      'retry-after': '1',
      etag: etagOf(row),
    },
    body: { ...showInstance(row, organization), operation: showOperation(operation) },
  };
}
