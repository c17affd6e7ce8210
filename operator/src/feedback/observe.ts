import {
  type Condition,
  type DriftItem,
  type DriftRecord,
  digestOf,
  type FeedKind,
  type InstanceSpec,
  type KubeObject,
  type Output,
  type StatusItem,
} from '@felucca/contract';
import { keyOfObject } from '../sync/keys.ts';

/** The status fields that any of the four kinds may have. */
export interface ObservedStatus {
  observedGeneration?: number;
  conditions?: Condition[];
  desired?: { id: string; generation: number; digest: string };
  outputs?: Record<string, Output>;
  drift?: DriftRecord[];
  driftCount?: number;
}
export type ObservedObject = KubeObject<unknown, ObservedStatus>;

/**
 * What is said upward of one object, without a sequence number. Undefined: nothing to say yet, or a name that
 * the link can't carry.
 */
export function observe(kind: FeedKind, object: ObservedObject): Omit<StatusItem, 'observedSeq'> | undefined {
  const { metadata } = object;
  const status = object.status ?? {};
  const key = keyOfObject(kind, metadata);
  const { desired } = status;
  // Without a row of its own the singleton is this operator's memory and nobody else's business.
  if (kind === 'DataPlane' && !desired) return undefined;
  const id = desired?.id ?? metadata.uid;
  if (!id || key.length > 128) return undefined;
  const local = desired === undefined;
  const current = status.observedGeneration === metadata.generation;
  const item: Omit<StatusItem, 'observedSeq'> = {
    kind,
    key,
    id,
    local,
    generation: desired?.generation ?? (local ? (metadata.generation ?? 0) : 0),
    digest: desired?.digest ?? digestOf(object.spec ?? {}),
    conditions: currentConditions(status.conditions ?? [], metadata.generation),
  };
  if (current && status.outputs && Object.keys(status.outputs).length > 0) item.outputs = status.outputs;
  if (status.driftCount) item.driftCount = status.driftCount;
  if (local && kind === 'Instance') item.blueprint = blueprintOf(object.spec as InstanceSpec | undefined);
  const ready = item.conditions.find(
    (condition) => condition.type === 'Ready' && condition.status === 'True',
  );
  if (ready) item.readyAt = ready.lastTransitionTime;
  return item;
}

/** A condition about an older spec must not make a newer generation look ready. */
const currentConditions = (conditions: Condition[], generation: number | undefined): Condition[] =>
  conditions
    .filter(
      (condition) =>
        condition.observedGeneration === undefined || condition.observedGeneration === generation,
    )
    .slice(0, 16);

const blueprintOf = (spec: InstanceSpec | undefined): string =>
  spec ? `${spec.blueprintRef.name}@${spec.blueprintRef.version}`.slice(0, 80) : '';

/** Records of `now` that `before` did not have: each is told once. */
export function newDrift(
  kind: FeedKind,
  before: ObservedObject | undefined,
  now: ObservedObject,
): DriftItem[] {
  const records = now.status?.drift ?? [];
  if (records.length === 0) return [];
  const known = new Set((before?.status?.drift ?? []).map(driftName));
  const id = now.status?.desired?.id ?? now.metadata.uid ?? '';
  const key = keyOfObject(kind, now.metadata);
  return records
    .filter((record) => !known.has(driftName(record)))
    .map((record) => ({ ...record, kind, key, id }));
}

const driftName = (record: DriftRecord): string =>
  JSON.stringify([record.object, record.path, record.detectedAt, record.actual]);
