import { generateKeyPairSync, sign } from 'node:crypto';
import {
  bucketDigests,
  bucketOf,
  digestOf,
  type FeedKind,
  formatDigest,
  hasBucket,
  rowDigest,
  type StatusItem,
  signedBytes,
} from '@felucca/contract';
import type { FeedRow, Head, Page } from '@felucca/control-api/feed/rows';
import { judge, type Known } from '@felucca/control-api/feedback/verdict';

export const DATA_PLANE_ID = '01a00000-0000-7000-8000-000000000001';
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
/** All Instances are of one organization. */
const TENANT = 'acme';
export const SIGNING_KEYS = { k1: publicKey.export({ format: 'jwk' }).x! };

interface Row {
  kind: FeedKind;
  key: string;
  id: string;
  rev: bigint;
  generation: number;
  hash: string;
  spec: Record<string, unknown> | undefined;
  sig: string;
}
type Observed = StatusItem & { session: string };

interface State {
  rows: Map<string, Row>;
  /** Of the resources themselves: a name that is used again continues nothing. */
  ids: Map<string, { id: string; generation: number }>;
  head: bigint;
  compacted: bigint;
  epoch: string;
  /** Newest of each object that a report told: `key id` → item. */
  observed: Map<string, Observed>;
  /** Objects that the feed does not account for, `key id`, as told under one epoch. */
  unknown: { epoch: string; names: Set<string> };
  /** There from its first order on. */
  organization: string | null;
}

/** What the control plane's Postgres does for one data plane, in memory: a counter, rows with their last revision. */
export class Database {
  private state: State = {
    rows: new Map(),
    ids: new Map(),
    head: 0n,
    compacted: 0n,
    epoch: 'e1',
    observed: new Map(),
    unknown: { epoch: 'e1', names: new Set() },
    organization: null,
  };
  private minted = 1;
  private made = 0;
  /** Every id whose deletion was ever committed, also in a history that was lost since. */
  readonly ended = new Set<string>();
  wentBackUnnoticed = false;
  /**
   * What was taken and then lost behind everybody's back, so that under this epoch nobody says it again: `key id generation`
   * of a status, `key id` of an unknown object.
   */
  readonly lost = new Set<string>();
  session = '';
  acked = { epoch: '', cursor: 0n };

  get head(): Head {
    const { epoch, head, compacted } = this.state;
    const live = [...this.state.rows.values()].filter(({ spec }) => spec);
    const bits = live.reduce((sum, row) => sum ^ rowDigest({ ...row, rev: String(row.rev) }), 0n);
    const digest = formatDigest(bits);
    return {
      dataPlaneId: DATA_PLANE_ID,
      epoch,
      head,
      compacted,
      digest,
      count: live.length,
      session: this.session,
    };
  }
  get buckets(): string[] {
    const live = [...this.state.rows.values()].filter(({ spec }) => spec);
    return bucketDigests(live.map((row) => ({ ...row, rev: String(row.rev) })));
  }
  /** Key → what the cluster must have. */
  live(): Map<string, Row> {
    return new Map([...this.state.rows.values()].flatMap((row) => (row.spec ? [[row.key, row]] : [])));
  }

  get observed(): ReadonlyMap<string, Observed> {
    return this.state.observed;
  }
  get hasOrganization(): boolean {
    return this.state.organization !== null;
  }
  isUnknown(name: string): boolean {
    const { epoch, unknown } = this.state;
    return (unknown.epoch === epoch && unknown.names.has(name)) || this.lost.has(name);
  }
  observeUnknown(names: readonly string[]): void {
    const { epoch, unknown } = this.state;
    if (names.length === 0) return;
    // Under each new epoch all of them are told again.
    if (unknown.epoch !== epoch) this.state.unknown = { epoch, names: new Set() };
    for (const name of names) this.state.unknown.names.add(name);
  }
  /** @returns why it is not taken; nothing when it is, or is no news. */
  observe(item: StatusItem, session: string): string | undefined {
    const { observed, unknown } = this.state;
    const name = `${item.key} ${item.id}`;
    // What is gone from the cluster is no orphan any more.
    const wasUnknown = item.deleted && unknown.names.delete(name);
    const verdict = judge(item, this.knownOf(name));
    if ('reason' in verdict) return wasUnknown ? undefined : verdict.reason;
    const told = { ...item, session };
    if (isNews(told, observed.get(name))) observed.set(name, told);
    // A local object that is gone leaves nothing to show.
    if (item.local && item.deleted) observed.delete(name);
    return undefined;
  }
  private knownOf(name: string): Known {
    const row = this.state.rows.get(name);
    const observed = this.state.observed.get(name);
    return {
      desired_tenant: row ? TENANT : null,
      desired_generation: row ? String(row.generation) : null,
      observed_tenant: observed ? TENANT : null,
      observed_local: observed?.local ?? null,
      organization: this.state.organization,
      sensitive: null,
    };
  }

  put(kind: FeedKind, key: string, spec: Record<string, unknown>): void {
    if (kind === 'Instance') this.state.organization = TENANT;
    const known = this.state.ids.get(key) ?? { id: this.newId(), generation: 0 };
    const { id } = known;
    const generation = known.generation + 1;
    this.state.ids.set(key, { id, generation });
    this.write({ kind, key, id, generation, hash: digestOf(spec), spec });
  }
  delete(kind: FeedKind, key: string): void {
    const known = this.state.ids.get(key);
    if (!known) return;
    this.state.ids.delete(key);
    this.ended.add(known.id);
    this.write({ kind, key, id: known.id, generation: known.generation + 1, hash: '', spec: undefined });
  }
  private newId(): string {
    this.made += 1;
    return `id-${this.made}`;
  }
  private write(row: Omit<Row, 'rev' | 'sig'>): void {
    this.state.head += 1n;
    const deleted = row.spec === undefined;
    const bytes = signedBytes({ dataPlaneId: DATA_PLANE_ID, ...row, deleted });
    const sig = sign(null, bytes, privateKey).toString('base64url');
    this.state.rows.set(`${row.key} ${row.id}`, { ...row, rev: this.state.head, sig });
  }

  /** Removes tombstones: those that the operator has behind it, or all, as when they are too old. */
  compact(all: boolean): void {
    const { rows, epoch } = this.state;
    for (const [name, { rev, spec }] of rows) {
      const isBehind = this.acked.epoch === epoch && rev <= this.acked.cursor;
      if (spec || (!all && !isBehind)) continue;
      rows.delete(name);
      if (rev > this.state.compacted) this.state.compacted = rev;
    }
  }
  mint(): void {
    this.minted += 1;
    this.state.epoch = `e${this.minted}`;
    this.lost.clear();
  }
  backup(): State {
    return structuredClone(this.state);
  }
  /** As `felucca admin` does it, or a server that has another history. */
  restore(backup: State): void {
    this.state = structuredClone(backup);
    this.mint();
  }

  /** A dump put back into the same server, and nobody said so: the epoch stays. */
  restoreUnnoticed(backup: State): void {
    this.wentBackUnnoticed = true;
    for (const [name, { generation }] of this.observed) this.lost.add(`${name} ${generation}`);
    for (const name of this.state.unknown.names) this.lost.add(name);
    this.state = { ...structuredClone(backup), epoch: this.state.epoch };
  }

  delta(since: bigint, limit: number): Page {
    const above = [...this.state.rows.values()].filter(({ rev }) => rev > since).sort(byRevision);
    return { head: this.head, rows: above.slice(0, limit).map(toFeedRow), more: above.length > limit };
  }
  /** Live rows by key after `after`, of some buckets only when there is a set of them. */
  snapshot(after: string, limit: number, buckets: string | undefined): Page & { next: string } {
    const rows = [...this.state.rows.values()]
      .filter(
        ({ spec, kind, key }) => spec && key > after && (!buckets || hasBucket(buckets, bucketOf(kind, key))),
      )
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    const page = rows.slice(0, limit);
    return {
      head: this.head,
      rows: page.map(toFeedRow),
      more: rows.length > limit,
      next: page.at(-1)?.key ?? after,
    };
  }
  tombstones(upTo: bigint): FeedRow[] {
    return [...this.state.rows.values()]
      .filter(({ spec, rev }) => !spec && rev <= upTo)
      .sort(byRevision)
      .map(toFeedRow);
  }
}

/** As control-api/src/feedback/status.ts has it in SQL. */
const isNews = (item: Observed, old: Observed | undefined): boolean =>
  !old ||
  item.generation > old.generation ||
  (item.generation === old.generation &&
    (item.session !== old.session || item.observedSeq > old.observedSeq)) ||
  (item.deleted === true && !old.deleted);

const byRevision = (a: Row, b: Row): number => Number(a.rev - b.rev);
const toFeedRow = ({ rev, spec, ...row }: Row): FeedRow => ({
  ...row,
  rev: String(rev),
  spec: spec ? JSON.stringify(spec) : null,
  deleted: spec === undefined,
  kid: 'k1',
  traceparent: null,
  age: 0,
});
