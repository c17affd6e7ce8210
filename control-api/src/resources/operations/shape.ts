import { z } from 'zod';

export const OPERATION_STATES = [
  'accepted',
  'delivered',
  'applied',
  'ready',
  'failed',
  'superseded',
] as const;
export interface OperationRow {
  id: string;
  instanceId: string;
  kind: 'create' | 'update' | 'delete';
  generation: number;
  state: (typeof OPERATION_STATES)[number];
  message: string;
  acceptedAt: Date;
  deliveredAt: Date | null;
  appliedAt: Date | null;
  readyAt: Date | null;
  endedAt: Date | null;
}

export const operationSchema = z.object({
  id: z.string(),
  instanceId: z.string(),
  kind: z.enum(['create', 'update', 'delete']),
  generation: z.number().int(),
  state: z.enum(OPERATION_STATES),
  done: z.boolean(),
  message: z.string(),
  acceptedAt: z.string(),
  deliveredAt: z.string().optional(),
  appliedAt: z.string().optional(),
  readyAt: z.string().optional(),
  endedAt: z.string().optional(),
});

export const isDone = (state: OperationRow['state']): boolean =>
  state === 'ready' || state === 'failed' || state === 'superseded';

export function showOperation(row: OperationRow): z.infer<typeof operationSchema> {
  const stamp = (name: 'deliveredAt' | 'appliedAt' | 'readyAt' | 'endedAt') =>
    row[name] ? { [name]: (row[name] as Date).toISOString() } : {};
  return {
    id: row.id,
    instanceId: row.instanceId,
    kind: row.kind,
    generation: row.generation,
    state: row.state,
    done: isDone(row.state),
    message: row.message,
    acceptedAt: row.acceptedAt.toISOString(),
    ...stamp('deliveredAt'),
    ...stamp('appliedAt'),
    ...stamp('readyAt'),
    ...stamp('endedAt'),
  };
}
