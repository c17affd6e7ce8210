import type { DelOp } from '@felucca/contract';
import { rowName } from './rows.ts';

/** A tombstone that is not carried out yet. */
export interface End {
  op: DelOp;
  epoch: string;
  receivedMs: number;
  /** It passed the guard, and the feed has been taken at its word. */
  admitted?: boolean;
}

/** By name and id: a name may have had several owners, and each has an end of its own that somebody waits for. */
export class Ends {
  private readonly ends = new Map<string, Map<string, End>>();

  add(end: End): void {
    const name = rowName(end.op.kind, end.op.key);
    const ofName = this.ends.get(name) ?? new Map<string, End>();
    this.ends.set(name, ofName.set(end.op.id, end));
  }

  /** In the order of the feed. */
  of(name: string): End[] {
    return [...(this.ends.get(name)?.values() ?? [])];
  }
  get(name: string, id: string): End | undefined {
    return this.ends.get(name)?.get(id);
  }

  /** Carried out, refused, or the id is wanted again. */
  forget(name: string, id: string): void {
    const ofName = this.ends.get(name);
    ofName?.delete(id);
    if (ofName?.size === 0) this.ends.delete(name);
  }
}
