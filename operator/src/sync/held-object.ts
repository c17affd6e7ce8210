import { type FeedKind, type HeldObject, MAX_HELD_SPEC_BYTES } from '@felucca/contract';
import type { SyncContext } from './context.ts';
import type { Deletions } from './deletions.ts';
import { type GoodRow, isUnaccounted, type RowEntry } from './rows.ts';

/** Told with the row that it was made of, so that a database that has lost this can take it back. */
export function tellHeld(context: SyncContext, kind: FeedKind, key: string, good: GoodRow | undefined): void {
  if (good) context.outbox.unknown(heldObject(kind, key, good));
}

/** Nothing when the feed accounts for it, or its deletion is held: that is told otherwise. */
export function tellUnaccounted(context: SyncContext, deletions: Deletions, entry: RowEntry): void {
  const { kind, key, good } = entry;
  if (isUnaccounted(entry) && !deletions.isHeld(kind, key)) tellHeld(context, kind, key, good);
}

function heldObject(kind: FeedKind, key: string, good: GoodRow): HeldObject {
  const { id, generation, hash, kid, sig, spec } = good;
  const fits = spec !== undefined && Buffer.byteLength(JSON.stringify(spec)) <= MAX_HELD_SPEC_BYTES;
  return { kind, key, id, generation, hash, kid, sig, ...(fits ? { spec } : {}) };
}
