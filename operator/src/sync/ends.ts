import type { DelOp } from '@felucca/contract';
import type { Tombstone } from './deletions.ts';
import { rowName } from './rows.ts';

/** A tombstone that is not carried out yet. */
export interface End {
  op: DelOp;
  epoch: string;
  receivedMs: number;
  /** It passed the guard, and the feed has been taken at its word. */
  admitted?: boolean;
  /** A person said that it may go, whatever the budget. */
  released?: boolean;
}

/** By name and id: a name may have had several owners, and each has an end of its own that somebody waits for. */
export class Ends {
  private readonly ends = new Map<string, Map<string, End>>();

  add(end: End): void {
    const name = rowName(end.op.kind, end.op.key);
    const ofName = this.ends.get(name) ?? new Map<string, End>();
    const former = ofName.get(end.op.id);
    // Told again it is the same end, which was released already.
    const released = end.released || (former?.released && former.op.generation === end.op.generation);
    this.ends.set(name, ofName.set(end.op.id, { ...end, ...(released ? { released } : {}) }));
  }

  /** In the order of the feed. */
  of(name: string): End[] {
    return [...(this.ends.get(name)?.values() ?? [])];
  }
  get(name: string, id: string): End | undefined {
    return this.ends.get(name)?.get(id);
  }

  /** Whether it is still to be carried out: what was told of the same owner meanwhile is another. */
  has(end: { op: Tombstone }): boolean {
    const { kind, key, id } = end.op;
    return this.get(rowName(kind, key), id) === end;
  }
  carriedOut(end: { op: Tombstone }): void {
    if (this.has(end)) this.forget(rowName(end.op.kind, end.op.key), end.op.id);
  }

  /** Refused, told, or the id is wanted again. */
  forget(name: string, id: string): void {
    const ofName = this.ends.get(name);
    ofName?.delete(id);
    if (ofName?.size === 0) this.ends.delete(name);
  }
}
