import { generateKeyPairSync, sign, verify } from 'node:crypto';
import {
  bucketDigests,
  bucketOf,
  digestOf,
  type FeedKind,
  formatDigest,
  type HeldObject,
  hasBucket,
  type Nack,
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
  /** Somebody who can write here, and has no key, changed it. */
  forged?: true;
}
type Observed = StatusItem & { session: string };

interface State {
  rows: Map<string, Row>;
  /** Of the resources themselves: a name that is used again continues nothing. */
  ids: Map<string, { id: string; generation: number }>;
  head: bigint;
  compacted: bigint;
  epoch: string;
  /** The head when the epoch began: what is above was ordered under it. */
  epochBase: bigint;
  /** Newest of each object that a report told: `key id` → item. */
  observed: Map<string, Observed>;
  /** Objects that the feed does not account for, as told under one epoch: `key id` → the generation that they have. */
  unknown: { epoch: string; generations: Map<string, number> };
  /** Rows that were refused, as `key revision`. */
  refused: Set<string>;
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
    epochBase: 0n,
    observed: new Map(),
    unknown: { epoch: 'e1', generations: new Map() },
    refused: new Set(),
    organization: null,
  };
  private minted = 1;
  private made = 0;
  /** Every id whose deletion was ever committed, also in a history that was lost since. */
  readonly ended = new Set<string>();
  /** Those of forged tombstones. */
  readonly endForged = new Set<string>();
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
    return (unknown.epoch === epoch && unknown.generations.has(name)) || this.lost.has(name);
  }
  /** @returns whether the feed has this row */
  refuse({ key, id, rev, hash }: Nack): boolean {
    const row = this.state.rows.get(`${key} ${id}`);
    // A tombstone is sent without one.
    if (row && (String(row.rev) !== rev || (row.spec ? row.hash : '') !== hash)) return false;
    if (row) this.state.refused.add(`${key} ${rev}`);
    return row !== undefined;
  }
  /** Whether a person who looks for deletions that are held finds this one. */
  isHeld(name: string): boolean {
    const row = this.state.rows.get(name);
    return row !== undefined && !row.spec && this.state.refused.has(`${row.key} ${row.rev}`);
  }
  observeUnknown(objects: readonly HeldObject[]): void {
    const { epoch, unknown } = this.state;
    if (objects.length === 0) return;
    // Under each new epoch all of them are told again.
    if (unknown.epoch !== epoch) this.state.unknown = { epoch, generations: new Map() };
    for (const object of objects)
      this.state.unknown.generations.set(`${object.key} ${object.id}`, believedGeneration(object));
  }
  /**
   * What was ordered under this epoch before the cluster told that it is past its generation goes out again above it.
   * @returns whether there was any
   */
  reissueOvertaken(): boolean {
    const { epoch, epochBase, unknown } = this.state;
    if (unknown.epoch !== epoch) return false;
    const overtaken = [...unknown.generations].flatMap(([name, generation]) => {
      const row = this.state.rows.get(name);
      return row && !row.forged && row.rev > epochBase && row.generation < generation
        ? [{ row, generation }]
        : [];
    });
    for (const { row, generation } of overtaken) {
      const known = this.state.ids.get(row.key);
      if (known?.id === row.id) known.generation = generation + 1;
      this.write({ ...row, generation: generation + 1 });
    }
    return overtaken.length > 0;
  }
  /** Whether this row waits for a person, or for the next order: it is of before the epoch. */
  isOfBefore(row: { rev: bigint }): boolean {
    return row.rev <= this.state.epochBase;
  }
  /** @returns why it is not taken; nothing when it is, or is no news. */
  observe(item: StatusItem, session: string): string | undefined {
    const { observed, unknown } = this.state;
    const name = `${item.key} ${item.id}`;
    // What is gone from the cluster is no orphan any more.
    const wasUnknown = item.deleted && unknown.generations.delete(name);
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
    const generation = this.nextGeneration(key, known);
    this.state.ids.set(key, { id, generation });
    this.write({ kind, key, id, generation, hash: digestOf(spec), spec });
  }
  delete(kind: FeedKind, key: string): void {
    const known = this.state.ids.get(key);
    if (!known) return;
    this.state.ids.delete(key);
    this.ended.add(known.id);
    const generation = this.nextGeneration(key, known);
    this.write({ kind, key, id: known.id, generation, hash: '', spec: undefined });
  }
  /** Above what the cluster holds, too. */
  private nextGeneration(key: string, { id, generation }: { id: string; generation: number }): number {
    return Math.max(generation, this.state.unknown.generations.get(`${key} ${id}`) ?? 0) + 1;
  }
  private newId(): string {
    this.made += 1;
    return `id-${this.made}`;
  }
  /** Deletions that nobody told the end of. */
  private waiting(): Row[] {
    return this.ends()
      .filter(({ kind, key, id }) => kind === 'Instance' && !this.observed.get(`${key} ${id}`)?.deleted)
      .sort(byRevision);
  }
  settings(change: Record<string, unknown>): void {
    const [row] = [...this.state.rows.values()].filter(({ kind }) => kind === 'DataPlane');
    this.put('DataPlane', 'default', { ...row?.spec, ...change });
  }
  /** Those that wait now are named in the data plane's own row. */
  releaseNamed(): void {
    this.settings({ releasedDeletions: this.waiting().map(({ id, generation }) => ({ id, generation })) });
  }
  /** A person has an object removed that the database does not know: by a tombstone above what its cluster holds. */
  removeUnknown(): void {
    const { epoch, unknown } = this.state;
    const found = [...unknown.generations].find(
      ([name, generation]) => generation > 0 && !this.state.rows.get(name)?.spec && unknown.epoch === epoch,
    );
    if (!found) return;
    const [name, held] = found;
    const [key = '', id = ''] = name.split(' ');
    const generation = Math.max(held, this.state.rows.get(name)?.generation ?? 0) + 1;
    if (this.state.rows.get(name)?.generation === generation) return;
    this.ended.add(id);
    this.write({ kind: 'Instance', key, id, generation, hash: '', spec: undefined });
  }
  /** The newest deletion that has not been carried out is rejected, if nobody has the name by now. */
  takeBack(spec: Record<string, unknown>): void {
    const last = this.waiting().findLast(({ key }) => !this.state.ids.has(key));
    if (!last) return;
    this.state.ids.set(last.key, last);
    this.put('Instance', last.key, spec);
  }
  /** What it acknowledged once: its cluster was restored, and shows it something older. */
  operatorForgot(): void {
    this.acked = { epoch: '', cursor: 0n };
  }
  /** Whether its operator has acknowledged that it is wanted, or applied the row that says so. */
  isKnownWanted(id: string, applied: number): boolean {
    const { epoch, cursor } = this.acked;
    const row = [...this.state.rows.values()].find((one) => one.id === id);
    if (!row?.spec || row.forged) return false;
    // A restored database may want what it has signed the end of before.
    const isApplied = this.minted === 1 && row.generation === applied;
    return isApplied || (epoch === this.state.epoch && row.rev <= cursor);
  }
  /** By somebody who can write here and sign nothing: with a spec another row, without one a tombstone. */
  forge(key: string, spec: Record<string, unknown> | undefined): void {
    const known = this.state.ids.get(key);
    const name = `${key} ${known?.id}`;
    const row = this.state.rows.get(name);
    if (!row) return;
    this.state.head += 1n;
    if (!spec) this.endForged.add(row.id);
    const hash = spec ? digestOf(spec) : row.hash;
    const generation = row.generation + 1;
    this.state.rows.set(name, { ...row, rev: this.state.head, generation, hash, spec, forged: true });
  }
  private write(row: Omit<Row, 'rev' | 'sig' | 'forged'>): void {
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
      // What is held is still to be decided about.
      if (spec || this.isHeld(name) || (!all && !isBehind)) continue;
      rows.delete(name);
      if (rev > this.state.compacted) this.state.compacted = rev;
    }
  }
  /** Beyond the first. */
  get epochsBegun(): number {
    return this.minted - 1;
  }
  mint(): void {
    this.minted += 1;
    this.state.epoch = `e${this.minted}`;
    this.state.epochBase = this.state.head;
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
    for (const name of this.state.unknown.generations.keys()) this.lost.add(name);
    const { epoch, epochBase } = this.state;
    const base = backup.epoch === epoch ? epochBase : backup.head;
    this.state = { ...structuredClone(backup), epoch, epochBase: base };
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
  /** Tombstones of what was really deleted. */
  ends(): Row[] {
    return [...this.state.rows.values()].filter(({ spec, forged }) => !spec && !forged);
  }
  tombstones(upTo: bigint): FeedRow[] {
    return [...this.state.rows.values()]
      .filter(({ spec, rev }) => !spec && rev <= upTo)
      .sort(byRevision)
      .map(toFeedRow);
  }
}

/** A generation counts only with the signature that it was ordered with. */
function believedGeneration({ kind, key, id, generation = 0, hash = '', sig = '' }: HeldObject): number {
  const row = { dataPlaneId: DATA_PLANE_ID, kind, key, id, generation, hash, deleted: false };
  return verify(null, signedBytes(row), publicKey, Buffer.from(sig, 'base64url')) ? generation : 0;
}

/** As control-api/src/feedback/status.ts has it in SQL. */
const isNews = (item: Observed, old: Observed | undefined): boolean =>
  !old ||
  item.generation > old.generation ||
  (item.generation === old.generation &&
    (item.session !== old.session ||
      item.observedSeq > old.observedSeq ||
      (item.deleted === true && !old.deleted)));

const byRevision = (a: Row, b: Row): number => Number(a.rev - b.rev);
const toFeedRow = ({ kind, key, id, rev, generation, hash, spec, sig }: Row): FeedRow => ({
  kind,
  key,
  id,
  rev: String(rev),
  generation,
  hash,
  sig,
  spec: spec ? JSON.stringify(spec) : null,
  deleted: spec === undefined,
  kid: 'k1',
  traceparent: null,
  age: 0,
});
