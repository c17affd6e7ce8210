import { ANNOTATIONS, digestOf, FEED_KINDS, type FeedKind, objectRef } from '@felucca/contract';
import { z } from 'zod';
import type { LiveObject } from './cluster.ts';
import type { SyncContext } from './context.ts';
import type { Deletions, HeldDeletion, Tombstone } from './deletions.ts';
import { keyOfObject } from './keys.ts';
import { SYNC_MANAGER } from './put-row.ts';
import type { GoodRow } from './rows.ts';
import { ownedPart } from './spec-edits.ts';
import type { Watches } from './watches.ts';

export interface Hydrated {
  /** Controlled objects whose stamp verified. */
  rows: number;
  /** Of those, objects whose row must be fetched again, because they were edited while we were down. */
  missing: number;
  /** Objects with a stamp that no trusted key signed. */
  untrusted: number;
}

const heldSchema = z.object({
  rev: z.string(),
  id: z.string(),
  generation: z.number().int(),
  kid: z.string(),
  sig: z.string(),
  cause: z.enum(['budget', 'epoch']),
});

/** Rebuilds what the operator knows from the cluster alone: no write, and no control plane needed. */
export async function hydrate(
  context: SyncContext,
  deletions: Deletions,
  watches: Watches,
): Promise<Hydrated> {
  const result: Hydrated = { rows: 0, missing: 0, untrusted: 0 };
  for (const kind of FEED_KINDS)
    for (const object of watches[kind].all()) {
      const held = heldTombstone(context, kind, object);
      // Also of what was only begun: a row that wants it again finds no stamp, and must know that it says so.
      if (held) deletions.restore(held);
      if (!object.status?.desired) continue;
      const good = await verifiedRow(context, kind, object);
      if (!good) {
        result.untrusted += 1;
        context.log.warn(
          { kind, name: object.metadata.name },
          'status.desired carries no trusted signature; ignored',
        );
        continue;
      }
      result.rows += 1;
      if (!good.spec) result.missing += 1;
      register(context, kind, object, good, held?.tombstone);
    }
  return result;
}

function register(
  context: SyncContext,
  kind: FeedKind,
  object: LiveObject,
  good: GoodRow,
  held: Tombstone | undefined,
): void {
  const key = keyOfObject(kind, object.metadata);
  const base = { kind, key, epoch: '', seenRev: good.rev, good };
  if (held) context.rows.set({ ...base, seenRev: held.rev });
  else if (object.metadata.deletionTimestamp) {
    // Most likely by a tombstone. If somebody deleted it here, the digest differs and the feed says so.
    const { id, generation, rev } = good;
    context.rows.set({ ...base, deleting: { id, generation, rev } });
  } else {
    const { id, rev, generation, hash } = good;
    context.rows.set({ ...base, feed: { id, rev, generation, hash } });
  }
}

/** The row that the stamp of an object speaks of; undefined when no trusted key signed it. */
export async function verifiedRow(
  context: SyncContext,
  kind: FeedKind,
  object: LiveObject,
): Promise<GoodRow | undefined> {
  const { id, generation, digest, kid, signature, rev = '0' } = object.status!.desired!;
  const { dataPlaneId, trust } = context;
  const key = keyOfObject(kind, object.metadata);
  const row = { dataPlaneId, kind, key, id, generation, hash: digest, deleted: false };
  if (!trust.verifyStamp(row, kid, signature).ok) return undefined;
  const good: GoodRow = { id, generation, hash: digest, rev, kid, sig: signature };
  if (object.metadata.uid) good.uid = object.metadata.uid;
  if (digestOf(object.spec ?? {}) === digest) {
    good.spec = object.spec ?? {};
    if (object.metadata.generation !== undefined) good.liveGeneration = object.metadata.generation;
    return good;
  }
  const own = await ownSpec(context, kind, key);
  if (own && digestOf(own) === digest) good.spec = own;
  return good;
}

/** The live spec may hold defaults or an edit; what we applied ourselves is told apart by managedFields. */
async function ownSpec(
  context: SyncContext,
  kind: FeedKind,
  key: string,
): Promise<Record<string, unknown> | undefined> {
  const live = await context.cluster.read(kind, objectRef(kind, key));
  const entry = live?.metadata.managedFields?.find(
    (fields) => fields.manager === SYNC_MANAGER && fields.operation === 'Apply' && !fields.subresource,
  );
  const owned = entry?.fieldsV1?.['f:spec'];
  if (!live?.spec || typeof owned !== 'object' || owned === null) return undefined;
  return ownedPart(live.spec, owned as Record<string, unknown>) as Record<string, unknown>;
}

function heldTombstone(context: SyncContext, kind: FeedKind, object: LiveObject): HeldDeletion | undefined {
  const text = object.metadata.annotations?.[ANNOTATIONS.heldDeletion];
  if (text === undefined) return undefined;
  const parsed = heldSchema.safeParse(parseJson(text));
  if (!parsed.success) return undefined;
  const { rev, id, generation, kid, sig, cause } = parsed.data;
  const { dataPlaneId, trust } = context;
  const key = keyOfObject(kind, object.metadata);
  // Anybody with RBAC can write an annotation, so it counts only if the control plane signed it.
  const row = { dataPlaneId, kind, key, id, generation, hash: '', deleted: true };
  if (!trust.verifyStamp(row, kid, sig).ok) return undefined;
  return { tombstone: { kind, key, rev, id, generation, kid, sig }, cause };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
