import {
  bucketDigests,
  type DigestRow,
  type FeedKind,
  formatDigest,
  type PutOp,
  rowDigest,
} from '@felucca/contract';

/** A row whose signature was verified: what the operator restores an object to. */
export interface GoodRow {
  id: string;
  generation: number;
  hash: string;
  rev: string;
  kid: string;
  sig: string;
  /** Absent after a restart if the live object had been edited meanwhile: the feed must send it again. */
  spec?: PutOp['spec'];
  traceparent?: string;
  /** metadata.generation of the object when its spec last agreed with this row. */
  liveGeneration?: number;
  uid?: string;
}

/** What this operator knows of one key. */
export interface RowEntry {
  kind: FeedKind;
  key: string;
  /** What the feed last said, applied or refused; absent for tombstoned and unknown keys. */
  feed?: Pick<DigestRow, 'id' | 'rev' | 'generation' | 'hash'>;
  /** Last revision seen of this key in this epoch, tombstones included. */
  seenRev: string;
  /** "" after a restart: the stamp of an object does not tell of which epoch its revision is. */
  epoch: string;
  good?: GoodRow;
  /** Owners of the name whose tombstones were seen in this epoch, the last few of them. */
  ended?: readonly string[];
  /** A tombstone was accepted and the object is on its way out. */
  deleting?: { id: string; generation: number; rev: string };
}

/** Of what is here and stays for now the feed says nothing, names another owner, or is behind. */
export const isUnaccounted = ({ feed, good, deleting }: RowEntry): boolean =>
  good !== undefined &&
  deleting === undefined &&
  (feed === undefined || feed.id !== good.id || feed.generation < good.generation);

export const rowName = (kind: FeedKind, key: string): string => `${kind}/${key}`;

/**
 * Every key of this data plane with the digest over what the feed said of it. The digest covers refused
 * rows too: a NACK keeps the last good row, and comparing without it would resync for ever.
 */
export class RowSet {
  private readonly entries = new Map<string, RowEntry>();
  private digestBits = 0n;
  private live = 0;

  get digest(): string {
    return formatDigest(this.digestBits);
  }
  /** Rows in the digest. */
  get count(): number {
    return this.live;
  }
  bucketDigests(): string[] {
    const rows: DigestRow[] = [];
    for (const { kind, key, feed } of this.entries.values()) if (feed) rows.push({ kind, key, ...feed });
    return bucketDigests(rows);
  }
  get(kind: FeedKind, key: string): RowEntry | undefined {
    return this.entries.get(rowName(kind, key));
  }
  all(): IterableIterator<RowEntry> {
    return this.entries.values();
  }
  set(entry: RowEntry): void {
    const name = rowName(entry.kind, entry.key);
    this.toggle(this.entries.get(name), -1);
    this.toggle(entry, 1);
    this.entries.set(name, entry);
  }
  update(kind: FeedKind, key: string, change: Partial<RowEntry>): void {
    const old = this.get(kind, key);
    if (old) this.set({ ...old, ...change });
  }
  /** Takes the key out of the digest and keeps what is known of its object. */
  leaveFeed(kind: FeedKind, key: string, change: Partial<RowEntry> = {}): void {
    const old = this.get(kind, key);
    if (!old) return;
    const { feed: _, ...rest } = old;
    this.set({ ...rest, ...change });
  }
  remove(kind: FeedKind, key: string): void {
    this.toggle(this.get(kind, key), -1);
    this.entries.delete(rowName(kind, key));
  }
  /** The server recognised our rows under another epoch. What else was seen had the revisions of the former one. */
  adoptEpoch(epoch: string): void {
    for (const [name, entry] of this.entries)
      this.entries.set(name, { ...entry, epoch, seenRev: entry.feed?.rev ?? '0', ended: [] });
  }
  /** Objects of a kind that came through the feed and are not on their way out. */
  liveOf(kind: FeedKind): number {
    let count = 0;
    for (const entry of this.entries.values())
      if (entry.kind === kind && entry.good && !entry.deleting) count += 1;
    return count;
  }

  private toggle(entry: RowEntry | undefined, sign: 1 | -1): void {
    if (!entry?.feed) return;
    const { kind, key, feed } = entry;
    this.digestBits ^= rowDigest({ kind, key, ...feed });
    this.live += sign;
  }
}

/** Why an operation is not applied; `stale` is silent, the others are NACKed. */
export type Guard = 'apply' | 'stale' | 'generation';

/**
 * At-least-once delivery becomes exactly-once application here. Revisions order operations inside one
 * epoch only. The generation rule holds for one resource id, because a name can be used again, and in every epoch: a
 * restored database speaks of generations that the cluster is past, tombstones included.
 */
export function guardRow(
  entry: RowEntry | undefined,
  op: { op: 'put' | 'del'; rev: string; id: string; generation: number },
  epoch: string,
): Guard {
  if (!entry) return 'apply';
  const isStale = entry.epoch === epoch && BigInt(op.rev) < BigInt(entry.seenRev);
  if (isStale && !endsFormerOwner(entry, op) && !outlivedOthers(entry, op)) return 'stale';
  if (entry.good?.id === op.id && op.generation < entry.good.generation) return 'generation';
  return 'apply';
}

/**
 * What is newer of the key are ends of others, seen before this one because its own row came while no operator, or an earlier
 * one, was there.
 */
const outlivedOthers = ({ feed, ended = [] }: RowEntry, op: { op: 'put' | 'del'; id: string }): boolean =>
  op.op === 'put' && feed === undefined && ended.length > 0 && !ended.includes(op.id);

/** The newer row of the key is that of its next owner, which says nothing about the former: somebody waits for that end. */
const endsFormerOwner = ({ feed }: RowEntry, op: { op: 'put' | 'del'; id: string }): boolean =>
  op.op === 'del' && feed !== undefined && feed.id !== op.id;
