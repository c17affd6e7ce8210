import { ANNOTATIONS, LABELS, leaseName, shardCountOf } from '@felucca/contract';
import type { Logger } from 'pino';
import type { KubeClient } from './client.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Fence } from './fenced-transport.ts';
import { LeaderElection, type Leadership, type Lease } from './leader-election.ts';
import type { RuntimeMetrics } from './metrics.ts';
import { GVR } from './resources.ts';

export interface ShardsOptions {
  client: KubeClient;
  log: Logger;
  metrics?: RuntimeMetrics;
  clock?: Clock;
  namespace: string;
  /** Of the Lease with one shard; with more, `<name>-<shard>-of-<count>`. */
  name: string;
  /** Unique per process. */
  identity: string;
  leaseDurationMs: number;
  /** In how many parts the Instances are divided; the same for all operators of a cluster. */
  count: number;
  /** The highest term that objects of the cluster show. */
  highestTerm?: () => number;
  /** Whether objects of the cluster show a term of this Lease. */
  wasHeld?: (lease: string) => boolean;
  /** What must be done before the work of a shard begins; the Lease is held already. */
  prepare(shard: number, leadership: Leadership): Promise<void>;
  /** The work of the shard may begin. */
  onBegin(shard: number): void;
  /** A Lease is lost and somebody else may act now: exit the process. */
  onLost(why: string): void;
}

/** An API server that is slower than this makes the caches wait no longer. */
const LOOK_AHEAD_MS = 5_000;

/** A shard that is ours to work on. */
interface Held {
  election: LeaderElection;
  giveAway: AbortController;
  running: number;
  onIdle?: () => void;
}

/**
 * The Instances of a cluster, divided among operators: a Lease for each shard, with a term of its own. Each operator
 * takes what is free, those that have less first, and asks for a shard of one that has two more. Shard 0 also has what
 * is there once, such as the link; it stays where it is.
 *
 * The count is part of the Leases' names. As long as an operator holds a Lease of another count, none of this count
 * is taken: both would have a part of the other's Instances.
 */
export class Shards {
  readonly count: number;
  readonly #options: ShardsOptions;
  readonly #clock: Clock;
  readonly #retryMs: number;
  readonly #elections: LeaderElection[] = [];
  readonly #held = new Map<number, Held>();
  /** Leases as all elections see them, listed once for all that look at about the same time. */
  #listing: Promise<Map<string, Lease>> | undefined;
  #listedMs = 0;
  /** When a Lease of another count was last seen to change. */
  readonly #others = new Map<string, { version: string | undefined; sinceMs: number }>();
  #hasOthers = false;
  /** All Leases of other counts in their versions, as last seen, and until when somebody may have held one of them. */
  #othersSeen: string | undefined;
  #othersLedMs = Number.POSITIVE_INFINITY;
  #terms = 0;
  /** The Leases as they were before this process listed anything else. */
  #found = new Map<string, Lease>();
  #foundMs = 0;
  #claimedMs = Number.NEGATIVE_INFINITY;
  #isGivingAway = false;

  constructor(options: ShardsOptions) {
    this.count = options.count;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#retryMs = Math.round((options.leaseDurationMs * 2) / 15);
  }

  /**
   * To be called before the caches list, and to no harm if it fails: a Lease that nobody holds by now, and that is
   * the same when it is taken, makes lists asked for after this as good as those after the election.
   */
  async lookAhead(): Promise<void> {
    const { log } = this.#options;
    try {
      this.#found = await this.#list(LOOK_AHEAD_MS);
      this.#foundMs = this.#clock.nowMs();
    } catch (err) {
      log.warn({ err }, 'could not look at the Leases yet');
    }
  }

  /** Takes part until the signal aborts, then gives everything back. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const campaigns = Array.from({ length: this.count }, (_, shard) => this.#campaign(shard, signal));
    await Promise.all([...campaigns, this.count > 1 ? this.#balance(signal) : undefined]);
  }

  holds(shard: number): boolean {
    return this.#held.has(shard);
  }
  /** The right to write for a shard; one that is not ours refuses. */
  fence(shard: number): Fence {
    return { stamp: () => this.#elections[shard]!.stamp() };
  }
  /** Undefined while the shard is not certainly ours. */
  term(shard: number): number | undefined {
    return this.#elections[shard]?.term;
  }

  /** Does the work if the shard is ours, and gives the shard away only when it has ended. */
  async within<T>(shard: number, work: () => Promise<T>): Promise<T | undefined> {
    const held = this.#held.get(shard);
    if (!held) return undefined;
    held.running += 1;
    try {
      return await work();
    } finally {
      held.running -= 1;
      if (held.running === 0) held.onIdle?.();
    }
  }

  /** Elected, given away, and a candidate again, until the signal aborts. */
  async #campaign(shard: number, signal: AbortSignal): Promise<void> {
    const { name, onLost } = this.#options;
    while (!signal.aborted) {
      const giveAway = new AbortController();
      const lease = leaseName(name, shard, this.count);
      const election = new LeaderElection({
        ...this.#options,
        name: lease,
        found: this.#foundOnce(lease),
        labels: { [LABELS.lease]: name, [LABELS.shard]: String(shard) },
        highestTerm: () => Math.max(this.#terms, this.#options.highestTerm?.() ?? 0),
        wasHeld: () => this.#options.wasHeld?.(lease) ?? false,
        look: () => this.#look(lease),
        mayTake: (free, freeMs) => this.#mayTake(free, freeMs),
        confirm: () => this.#isOnlyCount(),
        onWanted: () => void this.#giveAway(shard),
        onElected: (leadership) =>
          void this.#begin(shard, { election, giveAway, running: 0 }, leadership, signal),
        onLost,
      });
      this.#elections[shard] = election;
      await election.run(AbortSignal.any([signal, giveAway.signal]));
      this.#held.delete(shard);
    }
  }

  #foundOnce(name: string): { lease: Lease; atMs: number } | undefined {
    const lease = this.#found.get(name);
    this.#found.delete(name);
    return lease && { lease, atMs: this.#foundMs };
  }

  async #begin(shard: number, held: Held, leadership: Leadership, signal: AbortSignal): Promise<void> {
    const unheldSinceMs = Math.max(leadership.unheldSinceMs, this.#othersLedMs);
    await this.#options.prepare(shard, { ...leadership, unheldSinceMs });
    if (signal.aborted || held.giveAway.signal.aborted) return;
    this.#held.set(shard, held);
    this.#options.onBegin(shard);
  }

  async #giveAway(shard: number): Promise<void> {
    const held = this.#held.get(shard);
    if (!held || shard === 0 || this.#isGivingAway || this.#held.size < 2) return;
    this.#isGivingAway = true;
    this.#held.delete(shard);
    if (held.running > 0) await new Promise<void>((resolve) => (held.onIdle = resolve));
    this.#options.log.info({ shard }, 'given to an operator that has less');
    held.giveAway.abort();
    this.#isGivingAway = false;
  }

  #mayTake(lease: Lease | undefined, freeMs: number): boolean {
    const nowMs = this.#clock.nowMs();
    // One at a time, so that operators that start together share.
    if (this.#hasOthers || nowMs - this.#claimedMs < this.#retryMs / 4) return false;
    const wantedBy = lease?.metadata.annotations?.[ANNOTATIONS.wantedBy];
    const isWanted = wantedBy !== undefined && wantedBy !== this.#options.identity;
    if (isWanted && freeMs < 2 * this.#retryMs) return false;
    // Who has nothing goes first.
    const hasSome = this.#elections.some((election) => election.isLeader);
    if (hasSome && wantedBy !== this.#options.identity && freeMs < this.#retryMs / 2) return false;
    this.#claimedMs = nowMs;
    return true;
  }

  /** Asks for a shard where two more are held than here. One at a time; shard 0 is never asked for. */
  async #balance(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(this.#retryMs, signal);
      const holders = this.#elections.map((election) => (election.isLeader ? '' : election.holder));
      // What is free is taken first.
      if (signal.aborted || holders.includes(undefined)) continue;
      const numberOf = (holder: string | undefined): number =>
        holders.filter((other) => other === holder).length;
      const shard = holders.findLastIndex(
        (holder, index) => index > 0 && holder !== '' && numberOf(holder) - numberOf('') >= 2,
      );
      if (shard > 0)
        await this.#elections[shard]!.ask().catch((err: unknown) =>
          this.#options.log.warn({ err, shard }, 'could not ask for a shard'),
        );
    }
  }

  async #look(lease: string): Promise<Lease | undefined> {
    const nowMs = this.#clock.nowMs();
    if (!this.#listing || nowMs - this.#listedMs > this.#retryMs / 8) {
      this.#listedMs = nowMs;
      this.#listing = this.#list();
    }
    return (await this.#listing).get(lease);
  }

  async #list(timeoutMs?: number): Promise<Map<string, Lease>> {
    const { client, namespace, name } = this.#options;
    // By name and not by label: an older version set none.
    const all = await client.list<Lease>(GVR.Lease, namespace, timeoutMs === undefined ? {} : { timeoutMs });
    const leases = all.filter(({ metadata }) => shardCountOf(name, metadata.name) !== undefined);
    this.#terms = Math.max(this.#terms, ...leases.map(({ spec }) => spec?.leaseTransitions ?? 0));
    const byName = new Map(leases.map((lease) => [lease.metadata.name, lease]));
    await this.#noteOthers(leases);
    return byName;
  }

  /** Leases of another count: as long as one is held, we wait; one that expired is ended, so that it stays so. */
  async #noteOthers(leases: readonly Lease[]): Promise<void> {
    const { client, namespace, name, leaseDurationMs } = this.#options;
    const ours = new Set(
      Array.from({ length: this.count }, (_, shard) => leaseName(name, shard, this.count)),
    );
    const others = leases.filter(({ metadata }) => !ours.has(metadata.name));
    const nowMs = this.#clock.nowMs();
    let hasOthers = false;
    for (const lease of others) {
      const { name: other, resourceVersion: version } = lease.metadata;
      if (!lease.spec?.holderIdentity) continue;
      hasOthers = true;
      const known = this.#others.get(other);
      const sinceMs = known?.version === version ? known!.sinceMs : nowMs;
      this.#others.set(other, { version, sinceMs });
      const validMs = Math.max((lease.spec.leaseDurationSeconds ?? 0) * 1000, leaseDurationMs);
      if (nowMs - sinceMs <= validMs) continue;
      const leaseTransitions = (lease.spec.leaseTransitions ?? 0) + 1;
      const ended = { ...lease, spec: { ...lease.spec, holderIdentity: '', leaseTransitions } };
      // Refused when its holder came back meanwhile: then it is looked at again.
      await client.replace(GVR.Lease, namespace, ended).catch(() => undefined);
    }
    this.#hasOthers = hasOthers;
    const seen = others
      .map(({ metadata }) => `${metadata.name}@${metadata.resourceVersion}`)
      .sort()
      .join();
    if (hasOthers || seen !== this.#othersSeen) this.#othersLedMs = nowMs;
    this.#othersSeen = seen;
  }

  /** Looked at after our Lease was taken: of two counts that begin at once, each sees the other, and both go back. */
  async #isOnlyCount(): Promise<boolean> {
    await this.#list();
    return !this.#hasOthers;
  }
}
