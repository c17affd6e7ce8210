import type { Nack, ReportReply, StatusItem } from '@felucca/contract';
import type { Batch } from './pending.ts';

type Rejected = ReportReply['rejected'];

/** More than these at a time are told again each time. */
export const MAX_TOLD = 2_000;

/** Which refusals have been told: each once, until its reason changes or the object is taken. */
export class RefusedItems {
  private readonly told = new Map<string, string>();

  newsOf(batch: Pick<Batch, 'status'>, rejected: Rejected): Rejected {
    const names = new Set(rejected.map(nameOf));
    for (const item of batch.status) if (!names.has(nameOf(item))) this.told.delete(nameOf(item));
    return rejected.filter((item) => {
      const isNews = this.told.get(nameOf(item)) !== item.reason;
      if (isNews && (this.told.size < MAX_TOLD || this.told.has(nameOf(item))))
        this.told.set(nameOf(item), item.reason);
      return isNews;
    });
  }
}

/** Local objects that the control plane refused. A reply names no ids, so what could be about another item is not. */
export function unwantedOf(
  { nacks, drift, unknown }: Batch,
  rejected: Rejected,
): (item: StatusItem) => boolean {
  const names = new Set(rejected.map(nameOf));
  for (const other of [...nacks, ...drift, ...unknown]) names.delete(nameOf(other));
  return (item) => item.local && names.has(nameOf(item));
}

/** Objects that the control plane may have refused: told once more, nothing is lost. */
export function earlyOf(rejected: Rejected): (item: StatusItem) => boolean {
  const names = new Set(rejected.map(nameOf));
  return (item) => !item.local && names.has(nameOf(item));
}

/** A reply names no revisions: that of a row whose status was refused may be among them. */
export function rejectedNacks({ nacks }: Pick<Batch, 'nacks'>, rejected: Rejected): Nack[] {
  const names = new Set(rejected.map(nameOf));
  return nacks.filter((nack) => names.has(nameOf(nack)));
}

const nameOf = ({ kind, key }: { kind: string; key: string }): string => `${kind}/${key}`;
