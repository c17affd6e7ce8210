import { ANNOTATIONS, type KubeObject } from '@felucca/contract';
import type { Logger } from 'pino';
import { ApiError, isConflict, isNotFound } from './api-error.ts';
import type { KubeClient } from './client.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Fence } from './fenced-transport.ts';
import type { RuntimeMetrics } from './metrics.ts';
import { GVR, isOlder } from './resources.ts';

export interface LeaseSpec {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
}
export type Lease = KubeObject<LeaseSpec>;

export interface LeaderElectionOptions {
  client: KubeClient;
  log: Logger;
  metrics?: RuntimeMetrics;
  clock?: Clock;
  random?: () => number;
  namespace: string;
  name: string;
  /** Unique per process, such as the pod's name and a random tail. */
  identity: string;
  /** How long a silent leader stays the leader. Default 15 s. */
  leaseDurationMs?: number;
  /** How long a leader tries to renew before it gives up. Default 10 s; must be shorter. */
  renewDeadlineMs?: number;
  /** Default 2 s. */
  retryMs?: number;
  /** The highest term that objects of the cluster show: a Lease that was deleted must not begin again below it. */
  highestTerm?: () => number;
  /** Whether objects show that somebody has held the Lease: one that is missing then was deleted, perhaps just now. */
  wasHeld?: () => boolean;
  labels?: Record<string, string>;
  /** The Lease as it was found at this time of the clock, before this candidate was made: for `unheldSinceMs` only. */
  found?: { lease: Lease; atMs: number } | undefined;
  /** How who stands by looks at the Lease. Default: it is read. */
  look?: () => Promise<Lease | undefined>;
  /** Whether to take the Lease, which has been free for so long. Default: yes, at once. */
  mayTake?: (lease: Lease | undefined, freeMs: number) => boolean;
  /** Asked when the Lease was taken and nothing was done yet; false gives it back. Default: yes. */
  confirm?: () => Promise<boolean>;
  /** Somebody asks for the Lease that we hold. */
  onWanted?: (by: string) => void;
  /** Elected. */
  onElected(leadership: Leadership): void;
  /** The Lease is lost and somebody else may act now, or what this process knows is of another history: exit the process. */
  onLost(why: string): void;
}

export interface Leadership {
  /** The fencing term: it only grows. */
  term: number;
  /**
   * From this time of the clock until it was taken nobody held the Lease, and its term was already above that of whoever
   * had it: what the API server listed since then shows all that they wrote. Infinite when that cannot be known, as of
   * a Lease that expired: until it is taken, a late write of its holder is let through.
   */
  unheldSinceMs: number;
}

/**
 * One leader among several operators, by a Lease. No clocks are compared: what counts is for how long, by our own
 * monotonic clock, the Lease has not changed.
 */
export class LeaderElection implements Fence {
  readonly #options: LeaderElectionOptions;
  readonly #clock: Clock;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryMs: number;
  /** How often who stands by looks: a Lease that was given back is taken within this time. */
  readonly #lookMs: number;
  #lease: Lease | undefined;
  /** When we first saw the Lease as it is. */
  #observedMs: number;
  /** When we asked for the newest of our writes that went through; the others count from in between. */
  #renewedMs = 0;
  #term: number | undefined;
  #unheldSinceMs = Number.POSITIVE_INFINITY;
  #sawLease = false;
  /** Of all that the Lease ever showed us: somebody may delete it. */
  #highestTerm = 0;
  #lostBecause = 'the Lease is lost; another operator may act now';

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    // The same proportions for every duration: 15 s, 10 s, 2 s, 0.5 s.
    this.#renewDeadlineMs = options.renewDeadlineMs ?? Math.round((this.#leaseDurationMs * 2) / 3);
    this.#retryMs = options.retryMs ?? Math.round((this.#leaseDurationMs * 2) / 15);
    this.#lookMs = this.#retryMs / 4;
    this.#observedMs = this.#clock.nowMs();
    if (this.#renewDeadlineMs >= this.#leaseDurationMs)
      throw new Error('renewDeadlineMs must be below leaseDurationMs, or two leaders overlap.');
  }

  get isLeader(): boolean {
    return this.#term !== undefined;
  }
  /** Who holds the Lease, as last seen; undefined when it may be taken. */
  get holder(): string | undefined {
    return this.#freeForMs() === undefined ? this.#lease?.spec?.holderIdentity : undefined;
  }
  /**
   * Undefined while we are not the leader, and once the time to renew has passed although nobody told us so: this
   * process may have been paused, or its event loop blocked.
   */
  get term(): number | undefined {
    return this.#leftMs() > 0 ? this.#term : undefined;
  }

  stamp(): string {
    const { name } = this.#options;
    const { term } = this;
    if (term === undefined)
      throw new ApiError(0, 'LeaseUncertain', `not sent: another operator may hold the Lease ${name} by now`);
    return `${name}/${term}`;
  }

  /** Waits to be elected, renews until the signal aborts, then releases. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    this.#show(0);
    while (!signal.aborted && !(await this.#tryAcquire(signal)))
      await this.#clock.sleep(this.#lookMs * (1 + (this.#options.random ?? Math.random)() * 0.2), signal);
    if (signal.aborted) {
      await this.release();
      return;
    }
    this.#show(1);
    this.#options.log.info({ lease: this.#options.name, term: this.#term }, 'elected');
    this.#options.onElected({ term: this.#term!, unheldSinceMs: this.#unheldSinceMs });
    await this.#renew(signal);
    await this.release();
  }

  /** Asks whoever holds the Lease to let us have it; the holder decides. */
  async ask(): Promise<void> {
    const { client, namespace, name, identity } = this.#options;
    await client.patch(GVR.Lease, namespace, name, {
      metadata: { annotations: { [ANNOTATIONS.wantedBy]: identity } },
    });
  }

  /** Gives the Lease up at once, so that the next leader does not have to wait for it to expire. */
  async release(): Promise<void> {
    if (this.#term === undefined) return;
    this.#term = undefined;
    this.#show(0);
    await this.#giveBack();
  }

  async #giveBack(): Promise<void> {
    const { client, namespace, name, log } = this.#options;
    const lease = this.#lease!;
    const spec = {
      ...lease.spec,
      holderIdentity: '',
      leaseDurationSeconds: 1,
      renewTime: this.#microTime(),
      // From here on nothing of ours that is still under way is let through.
      leaseTransitions: this.#highestTerm + 1,
    };
    try {
      await client.replace(GVR.Lease, namespace, { ...lease, spec }, { timeoutMs: 3_000 });
      log.info({ lease: name }, 'released');
    } catch (err) {
      log.warn({ err, lease: name }, 'could not release the Lease; it expires by itself');
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(this.#retryMs, signal);
      if (signal.aborted) return;
      const wantedBy = this.#lease?.metadata.annotations?.[ANNOTATIONS.wantedBy];
      if (wantedBy !== undefined) this.#options.onWanted?.(wantedBy);
      const leftMs = this.#leftMs();
      if (leftMs > 0 && (await this.#tryRenew(Math.min(leftMs, this.#renewDeadlineMs / 2)))) continue;
      if (this.#term === undefined || this.#leftMs() <= 0) {
        this.#lose();
        return;
      }
    }
  }

  /** For how long we may still lead by the newest write. */
  #leftMs(): number {
    return this.#renewedMs + this.#renewDeadlineMs - this.#clock.nowMs();
  }

  #lose(): void {
    this.#term = undefined;
    this.#show(0);
    this.#options.log.error({ lease: this.#options.name }, 'the Lease is lost');
    this.#options.onLost(this.#lostBecause);
  }

  async #tryRenew(timeoutMs: number): Promise<boolean> {
    const { identity } = this.#options;
    try {
      const lease = this.#lease!;
      await this.#write({ ...lease, spec: { ...lease.spec, renewTime: this.#microTime() } }, timeoutMs);
      return true;
    } catch (error) {
      this.#options.log.warn({ err: error, lease: this.#options.name }, 'could not renew the Lease');
      if (!isConflict(error) && !isNotFound(error)) return false;
    }
    // Somebody wrote or deleted it: an own write whose answer got lost, a person's label, or another leader.
    this.#options.metrics?.leaderSlowPath.inc({ name: this.#options.name });
    const known = this.#lease?.metadata.resourceVersion ?? '0';
    try {
      await this.#read(timeoutMs);
    } catch {
      return false;
    }
    const isOurs = this.#lease?.spec?.holderIdentity === identity;
    const wentBack = isOlder(this.#lease?.metadata.resourceVersion ?? known, known);
    if (isOurs && !wentBack && this.#lease?.spec?.leaseTransitions === this.#term) return false;
    this.#term = undefined;
    if (wentBack) {
      this.#lostBecause = `the Lease ${this.#options.name} is older than what was acknowledged: etcd was restored, and what this process knows is of another history`;
      // Whoever follows begins at once, and above all terms that there were.
      if (isOurs) await this.#giveBack();
    }
    return false;
  }

  async #tryAcquire(signal: AbortSignal): Promise<boolean> {
    const { name, mayTake = () => true } = this.#options;
    const timeoutMs = this.#renewDeadlineMs / 2;
    try {
      if (this.#options.look) this.#observe(await this.#options.look());
      else await this.#read(timeoutMs);
      const freeMs = this.#freeForMs();
      if (signal.aborted || freeMs === undefined || !mayTake(this.#lease, freeMs)) return false;
      this.#unheldSinceMs = this.#givenBackMs();
      await this.#take(timeoutMs);
      // An answer that comes this late, as to a process that was paused: somebody else may lead by now.
      if (this.#leftMs() <= 0 || !(await this.#isConfirmed()) || this.#leftMs() <= 0) return false;
      this.#term = this.#lease?.spec?.leaseTransitions ?? 0;
      return true;
    } catch (err) {
      if (!isConflict(err))
        this.#options.log.warn({ err, lease: name }, 'could not try to become the leader');
      return false;
    }
  }

  async #take(timeoutMs: number): Promise<void> {
    const { identity: holderIdentity, namespace, name } = this.#options;
    const now = this.#microTime();
    const leaseDurationSeconds = Math.max(1, Math.ceil(this.#leaseDurationMs / 1000));
    // Each election is a new term, also of the same holder: its older self may still have writes under way.
    const last = Math.max(this.#highestTerm, this.#options.highestTerm?.() ?? 0);
    const { [ANNOTATIONS.wantedBy]: _, ...annotations } = this.#lease?.metadata.annotations ?? {};
    await this.#write(
      {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: {
          ...(this.#lease?.metadata ?? { name, namespace }),
          labels: { ...this.#lease?.metadata.labels, ...this.#options.labels },
          annotations,
        },
        spec: {
          holderIdentity,
          leaseDurationSeconds,
          acquireTime: now,
          renewTime: now,
          leaseTransitions: last + 1,
        },
      },
      timeoutMs,
    );
  }

  async #isConfirmed(): Promise<boolean> {
    try {
      if ((await this.#options.confirm?.()) ?? true) return true;
    } catch (err) {
      this.#options.log.warn({ err, lease: this.#options.name }, 'the Lease was taken and is given back');
    }
    await this.#giveBack();
    return false;
  }

  /** For how long the Lease may have been taken; undefined while somebody holds it. */
  #freeForMs(): number | undefined {
    const { holderIdentity, leaseDurationSeconds = 0 } = this.#lease?.spec ?? {};
    const sinceMs = this.#clock.nowMs() - this.#observedMs;
    // Whoever held a Lease that somebody deleted hears of it with the next renewal, and acts until then.
    const wasHeld = this.#sawLease || (this.#options.wasHeld?.() ?? false);
    const isDeleted = this.#lease === undefined && wasHeld;
    if (!holderIdentity && !isDeleted) return sinceMs;
    // The holder's own duration counts: ours may be configured shorter.
    const validMs = Math.max(leaseDurationSeconds * 1000, this.#leaseDurationMs);
    return sinceMs > validMs ? sinceMs - validMs : undefined;
  }

  /** Since when the Lease is known to be as it is now, given back: it is taken as that, so nobody had it in between. */
  #givenBackMs(): number {
    const lease = this.#lease;
    if (!lease || lease.spec?.holderIdentity) return Number.POSITIVE_INFINITY;
    const { found } = this.#options;
    const isAsFound = found?.lease.metadata.resourceVersion === lease.metadata.resourceVersion;
    return found && isAsFound ? found.atMs : this.#observedMs;
  }

  async #read(timeoutMs: number): Promise<void> {
    const { client, namespace, name } = this.#options;
    this.#observe(await client.get<Lease>(GVR.Lease, namespace, name, { timeoutMs }));
  }

  async #write(lease: Lease, timeoutMs: number): Promise<void> {
    const { client, namespace } = this.#options;
    const askedMs = this.#clock.nowMs();
    const written = lease.metadata.resourceVersion
      ? await client.replace<Lease>(GVR.Lease, namespace, lease, { timeoutMs })
      : await client.create<Lease>(GVR.Lease, namespace, lease, { timeoutMs });
    this.#observe(written);
    this.#renewedMs = askedMs;
  }

  #observe(lease: Lease | undefined): void {
    const before = this.#lease?.metadata;
    if (before?.resourceVersion !== lease?.metadata.resourceVersion) this.#observedMs = this.#clock.nowMs();
    this.#lease = lease;
    this.#sawLease ||= lease !== undefined;
    this.#highestTerm = Math.max(this.#highestTerm, lease?.spec?.leaseTransitions ?? 0);
  }

  /** For people and other tools; nothing is decided by it. */
  #microTime(): string {
    return this.#clock.date().toISOString().replace('Z', '000Z');
  }

  #show(status: 0 | 1): void {
    this.#options.metrics?.leader.set({ name: this.#options.name }, status);
  }
}
