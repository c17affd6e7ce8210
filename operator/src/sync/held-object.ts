import { type FeedKind, type HeldObject, MAX_HELD_SPEC_BYTES } from '@felucca/contract';
import type { SyncContext } from './context.ts';
import type { GoodRow } from './rows.ts';

/** Told with the row that it was made of, so that a database that has lost this can take it back. */
export function tellHeld(context: SyncContext, kind: FeedKind, key: string, good: GoodRow | undefined): void {
  if (good) context.outbox.unknown(heldObject(kind, key, good));
}

function heldObject(kind: FeedKind, key: string, good: GoodRow): HeldObject {
  const { id, generation, hash, kid, sig, spec } = good;
  const fits = spec !== undefined && Buffer.byteLength(JSON.stringify(spec)) <= MAX_HELD_SPEC_BYTES;
  return { kind, key, id, generation, hash, kid, sig, ...(fits ? { spec } : {}) };
}
