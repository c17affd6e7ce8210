import {
  ANNOTATIONS,
  API_VERSION,
  type Condition,
  type KubeObject,
  objectRef,
  type PutOp,
  setCondition,
} from '@felucca/contract';
import { ClusterError, type LiveObject } from './cluster.ts';
import type { SyncContext } from './context.ts';
import type { GoodRow } from './rows.ts';
import { isEmptied, managerOf, specEdits } from './spec-edits.ts';

/** What is written of a row; a feed operation or the held copy of one. */
export type WantedRow = Pick<
  PutOp,
  'kind' | 'key' | 'rev' | 'id' | 'generation' | 'hash' | 'spec' | 'kid' | 'sig'
> & {
  traceparent?: string | undefined;
};

/** Someone else has the name, or the object is still going away: a fact, not a failure of ours. */
export type PutObstacle =
  | { obstacle: 'conflict'; live: LiveObject; message: string }
  | { obstacle: 'terminating'; live: LiveObject; message: string }
  | { obstacle: 'otherId'; live: LiveObject; id: string };

/** Writes one verified row: the spec, then the stamp that says it was verified. */
export async function putRow(context: SyncContext, row: WantedRow): Promise<GoodRow | PutObstacle> {
  const ref = objectRef(row.kind, row.key);
  const live = await context.cluster.read(row.kind, ref);
  const obstacle = live && obstacleOf(row, live);
  if (obstacle) return obstacle;
  return writeRow(context, row, live);
}

/** What was written before is written to the object that `live` is, and to no other. */
export async function writeRow(
  context: SyncContext,
  row: WantedRow,
  live: LiveObject | undefined,
): Promise<GoodRow> {
  const written = upToDate(row, live) ? live : await write(context, row, live);
  const clean = await withoutForeignFields(context, row, written);
  await stamp(context, row, clean);
  return goodRow(row, clean);
}

function obstacleOf(row: WantedRow, live: LiveObject): PutObstacle | undefined {
  const owner = ownerId(live);
  // The singleton may come from the chart; the control plane's row completes it.
  if (owner === undefined && row.kind !== 'DataPlane')
    return {
      obstacle: 'conflict',
      live,
      message: `${row.kind} ${live.metadata.name} was applied on this cluster by somebody else; rename or delete it`,
    };
  if (live.metadata.deletionTimestamp)
    return {
      obstacle: 'terminating',
      live,
      message: `${row.kind} ${live.metadata.name} is still being deleted`,
    };
  if (owner !== undefined && owner !== row.id) return { obstacle: 'otherId', live, id: owner };
  return undefined;
}

/** The stamp is what we trust; between the two writes of a first apply only the annotation exists. */
export const ownerId = (live: LiveObject): string | undefined =>
  live.status?.desired?.id ?? live.metadata.annotations?.[ANNOTATIONS.id];

/** Its spec was written, and the stamp perhaps not. */
export const isBegun = ({ id, generation, hash }: WantedRow, live: LiveObject): boolean => {
  const { annotations = {} } = live.metadata;
  return (
    ownerId(live) === id &&
    annotations[ANNOTATIONS.generation] === String(generation) &&
    annotations[ANNOTATIONS.digest] === hash
  );
};

function upToDate(row: WantedRow, live: LiveObject | undefined): live is LiveObject {
  return (
    live !== undefined &&
    live.metadata.annotations?.[ANNOTATIONS.digest] === row.hash &&
    live.metadata.annotations?.[ANNOTATIONS.generation] === String(row.generation) &&
    specEdits(row.spec, live.spec).every((edit) => edit.extra)
  );
}

/**
 * Where the last field below an object goes, server-side apply stores null and not the empty object that was sent. There the
 * spec is set first, in one write that nobody sees half of; the apply after it owns what is there.
 */
async function write(
  context: SyncContext,
  row: WantedRow,
  live: LiveObject | undefined,
): Promise<LiveObject> {
  const { cluster } = context;
  if (live?.metadata.resourceVersion && isEmptied(row.spec, live.spec))
    await cluster.replaceSpec(
      row.kind,
      objectRef(row.kind, row.key),
      live.metadata.resourceVersion,
      row.spec,
      marksOf(row),
    );
  return cluster.apply(specApply(row, live?.metadata.uid));
}

function marksOf(row: WantedRow): Record<string, string> {
  const marks: Record<string, string> = {
    [ANNOTATIONS.id]: row.id,
    [ANNOTATIONS.generation]: String(row.generation),
    [ANNOTATIONS.digest]: row.hash,
  };
  if (row.traceparent) marks[ANNOTATIONS.traceparent] = row.traceparent;
  return marks;
}

function specApply(row: WantedRow, uid: string | undefined): KubeObject {
  return {
    apiVersion: API_VERSION,
    kind: row.kind,
    metadata: {
      ...objectRef(row.kind, row.key),
      annotations: marksOf(row),
      ...(uid ? { uid } : {}),
    },
    spec: row.spec,
  };
}

/** Server-side apply leaves fields that others added; on an object we own they go. */
async function withoutForeignFields(
  context: SyncContext,
  row: WantedRow,
  live: LiveObject,
): Promise<LiveObject> {
  const foreign = foreignFields(row.spec, live);
  if (foreign.length === 0) return live;
  return context.cluster.removeFields(
    row.kind,
    objectRef(row.kind, row.key),
    live.metadata.resourceVersion ?? '',
    foreign,
  );
}

export const SYNC_MANAGER = 'felucca-sync';

const foreignFields = (spec: PutOp['spec'], live: LiveObject): string[] =>
  specEdits(spec, live.spec)
    .filter((edit) => edit.extra)
    .filter((edit) => managerOf(live.metadata.managedFields ?? [], edit.path, SYNC_MANAGER) !== undefined)
    .map((edit) => edit.path);

async function stamp(context: SyncContext, row: WantedRow, live: LiveObject): Promise<void> {
  const { id, generation, hash, kid, sig, rev } = row;
  const desired = { id, generation, digest: hash, kid, signature: sig, rev };
  const old = live.status?.desired;
  const isStamped =
    old !== undefined &&
    Object.entries(desired).every(([name, value]) => old[name as keyof typeof old] === value);
  // A restored edit moves the generation, and a condition about an older one is not reported.
  const synced = row.kind === 'Instance' ? syncedCondition(context, live) : undefined;
  if (isStamped && synced?.observedGeneration === syncedOf(live)?.observedGeneration) return;
  const status: Record<string, unknown> = { desired };
  if (synced) status['conditions'] = [synced];
  await context.cluster.apply(
    {
      apiVersion: API_VERSION,
      kind: row.kind,
      metadata: { ...objectRef(row.kind, row.key), ...(live.metadata.uid ? { uid: live.metadata.uid } : {}) },
      status,
    },
    'status',
  );
}

const syncedOf = (live: LiveObject): Condition | undefined =>
  (live.status?.conditions as Condition[] | undefined)?.find((condition) => condition.type === 'Synced');

function syncedCondition(context: SyncContext, live: LiveObject): Condition {
  const old = syncedOf(live);
  const next = setCondition(
    old ? [old] : [],
    { type: 'Synced', status: 'True', reason: 'InSync', message: 'the spec is what the control plane wants' },
    live.metadata.generation ?? 0,
    context.clock.date(),
  );
  return next[0]!;
}

export function goodRow(row: WantedRow, live: LiveObject): GoodRow {
  const { id, generation, hash, rev, kid, sig, spec, traceparent } = row;
  const good: GoodRow = { id, generation, hash, rev, kid, sig, spec };
  if (traceparent) good.traceparent = traceparent;
  if (live.metadata.generation !== undefined) good.liveGeneration = live.metadata.generation;
  if (live.metadata.uid) good.uid = live.metadata.uid;
  return good;
}

export const isObstacle = (result: GoodRow | PutObstacle): result is PutObstacle => 'obstacle' in result;
export const isClusterError = (error: unknown): error is ClusterError => error instanceof ClusterError;
