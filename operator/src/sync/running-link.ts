import {
  ANNOTATIONS,
  type BudgetRule,
  counted,
  DATA_PLANE_NAME,
  DEFAULT_BUDGET,
  FEED_KINDS,
  type FeedKind,
  type Nack,
  objectRef,
  type SignedOutputKey,
} from '@felucca/contract';
import { Observer } from '../feedback/observer.ts';
import { Reporter } from '../feedback/reporter.ts';
import { SealedOutputs } from '../feedback/sealed-outputs.ts';
import type { DataPlaneStatusWriter } from '../reconcilers/data-plane/status.ts';
import type { ApiClient } from './api-client.ts';
import { RowApplier } from './apply.ts';
import type { LiveObject, SyncCluster } from './cluster.ts';
import { ConnectionStatus } from './connection-status.ts';
import type { SyncContext } from './context.ts';
import { Deletions } from './deletions.ts';
import { FeedClient } from './feed-client.ts';
import { SyncSink } from './feed-sink.ts';
import { tellHeld } from './held-object.ts';
import { hydrate } from './hydrate.ts';
import { type Identity, requestSigner } from './identity.ts';
import type { IdentityStore } from './identity-store.ts';
import { keyOfObject } from './keys.ts';
import { Lanes } from './lanes.ts';
import { RefusedRows } from './refused-rows.ts';
import { Restorer } from './restore.ts';
import { RowSet, rowName } from './rows.ts';
import { SealingRotation } from './sealing-rotation.ts';
import { namedKeys, SigningKeys } from './signing-keys.ts';
import { TrustedKeys } from './verify.ts';
import type { Watches } from './watches.ts';

export interface LinkOptions extends Pick<SyncContext, 'emit' | 'clock' | 'random' | 'metrics' | 'log'> {
  api: ApiClient;
  cluster: SyncCluster;
  identityStore: IdentityStore;
  watches: Watches;
  status: DataPlaneStatusWriter;
  /** Fencing term of our Lease, part of each report. */
  term: () => number;
  /** Since this time of the process' clock nobody else has written by the right of the Lease. */
  aloneSinceMs: number;
  joinToken: () => Promise<string | undefined>;
  /** Name of this process, for people. */
  instance: string;
  operatorVersion: string;
  /** Applies in flight. */
  concurrency: number;
}

/** A full transfer for one missing row is asked for at most this often. */
const RESYNC_EVERY_MS = 15_000;

/** The feed followed, and the reports sent, as one joined data plane. */
export class RunningLink {
  private readonly options: LinkOptions;
  private readonly identity: Identity;
  private readonly context: SyncContext;
  private readonly lanes: Lanes;
  private readonly deletions: Deletions;
  private readonly restorer: Restorer;
  private readonly applier: RowApplier;
  private readonly reporter: Reporter;
  private readonly observer: Observer;
  private readonly outputs: SealedOutputs;
  private readonly rotation: SealingRotation;
  private readonly connection: ConnectionStatus;
  private sink: SyncSink | undefined;
  private feed: FeedClient | undefined;
  private stops: (() => void)[] = [];
  private readonly starting = new AbortController();
  private stopped = false;
  private refusedOutputKey: string | undefined;
  private resyncTimer: NodeJS.Timeout | undefined;
  private lastResyncMs = Number.NEGATIVE_INFINITY;

  constructor(options: LinkOptions, identity: Identity) {
    this.options = options;
    this.identity = identity;
    const { dataPlaneId } = identity;
    const { api, watches, cluster, emit, term, clock, random, metrics, log } = options;
    this.reporter = new Reporter({
      api,
      authorize: requestSigner(identity),
      dataPlaneId,
      term,
      random,
      date: () => clock.date(),
      metrics,
      log,
      onSessionRefused: () => this.feed?.dispatch({ type: 'sessionRefused' }),
      onNacksRejected: (nacks) => this.tellLostHolds(nacks),
      onOutputKey: (key) => this.sealOutputsTo(key),
    });
    this.reporter.tellSealingKey(identity.sealingKey);
    const trust = new TrustedKeys(identity.signingKeys);
    this.context = {
      dataPlaneId,
      cluster,
      rows: new RowSet(),
      blueprints: (name) => watches.Blueprint.get({ name })?.spec,
      trust,
      signingKeys: new SigningKeys(trust, options.identityStore, log),
      outbox: this.reporter,
      refused: new RefusedRows({
        outbox: this.reporter,
        metrics,
        emit,
        dataPlaneUid: () => watches.DataPlane.get({ name: DATA_PLANE_NAME })?.metadata.uid,
        onChange: () => this.sayRefused(),
      }),
      emit,
      clock,
      random,
      metrics,
      log,
    };
    this.lanes = new Lanes(options.concurrency, (name, error) =>
      log.error({ err: error, name }, 'sync surprise'),
    );
    this.deletions = new Deletions(
      this.context,
      () => this.budget(),
      () => {
        this.sayHeld();
        this.persistCursor();
      },
    );
    this.restorer = new Restorer(this.context, this.lanes, this.deletions, () => this.fetchRowsAgain());
    this.applier = new RowApplier(this.context, this.lanes, this.deletions, this.restorer);
    this.connection = new ConnectionStatus(api.address, (condition) => options.status.condition(condition));
    this.rotation = new SealingRotation({
      store: options.identityStore,
      instances: () => watches.Instance.all(),
      take: (object, annotation) => this.taken(object, annotation),
      tell: (key) => this.reporter.tellSealingKey(key),
      log,
    });
    this.outputs = new SealedOutputs({
      dataPlaneId,
      readSecret: (namespace, name) => cluster.readSecret(namespace, name),
      onSealed: (instance) => this.observer.sayAgain(instance),
      log,
    });
    this.observer = new Observer(
      watches,
      (kind, object) => this.isIncoming(kind, object),
      this.reporter,
      this.outputs,
    );
  }

  async start(remembered: { epoch: string; cursor: string }): Promise<void> {
    const { log, options, context } = this;
    // What an earlier process said of its connection is not true of this one for longer than the time of grace.
    this.connection.lost({ why: 'starting', message: 'the feed has not been connected yet' }, false);
    const { watches, aloneSinceMs } = options;
    const { signal } = this.starting;
    await Promise.all(FEED_KINDS.map((kind) => watches[kind].listedSince(aloneSinceMs, signal)));
    if (this.stopped) return;
    const hydrated = await hydrate(context, this.deletions, watches);
    if (this.stopped) return;
    // An earlier process may have ended between the row that names them and its last word.
    const ownRow = context.rows.get('DataPlane', DATA_PLANE_NAME)?.good;
    await context.signingKeys.settle(namedKeys(ownRow?.spec));
    // What an earlier process held may be gone.
    this.sayHeld();
    // A row that only the feed still has is worth one full transfer: it is compared, not written again.
    const start = hydrated.missing > 0 ? { epoch: '', cursor: '0' } : remembered;
    log.info({ ...hydrated, ...start }, 'known rows rebuilt from the cluster');
    const sink = new SyncSink(
      { context, applier: this.applier, deletions: this.deletions, lanes: this.lanes },
      { ...start, comparedEpoch: remembered.epoch },
      {
        compared: () => this.persistCursor(),
        advanced: (epoch, cursor) => this.advanced(epoch, cursor),
        greeted: (session, epoch, reset) => this.greeted(session, epoch, reset),
        lost: (why, message, halted) => this.lost(why, message, halted),
        digestDiffers: () => this.feed?.dispatch({ type: 'digestDiffers' }),
        digestAgrees: () => {
          // What an earlier process said of refused rows holds until all of them have come again.
          this.sayRefused();
          this.feed?.dispatch({ type: 'digestAgrees' });
        },
      },
    );
    this.sink = sink;
    this.reporter.onEndsChanged = () => this.persistCursor();
    this.watch();
    this.observer.start();
    this.feed = new FeedClient({
      api: options.api,
      authorize: requestSigner(this.identity),
      dataPlaneId: this.identity.dataPlaneId,
      instance: options.instance,
      term: options.term,
      start,
      sink,
      metrics: options.metrics,
      random: options.random,
      log,
    });
    this.feed.start();
  }

  async stop(timeoutMs: number): Promise<void> {
    this.stopped = true;
    this.starting.abort();
    this.connection.stop();
    clearTimeout(this.resyncTimer);
    for (const stop of this.stops) stop();
    this.observer.stop();
    this.outputs.stop();
    this.feed?.stop();
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs / 2);
    });
    await Promise.race([this.lanes.idle(), deadline]);
    clearTimeout(timer);
    this.lanes.stop();
    await this.reporter.stop(timeoutMs / 2);
  }

  private get log() {
    return this.options.log;
  }

  private watch(): void {
    const { watches } = this.options;
    for (const kind of FEED_KINDS) {
      this.stops.push(
        watches[kind].listen({
          upserted: (object) => this.upserted(kind, object),
          removed: (object) => {
            const { metadata, status } = object;
            this.restorer.vanished(kind, keyOfObject(kind, metadata), status?.desired?.id, metadata.uid);
          },
        }),
      );
      for (const object of watches[kind].all()) this.upserted(kind, object);
    }
    // What is held may be known by its mark only.
    for (const { kind, key } of [...this.context.rows.all(), ...this.deletions.waiting()])
      if (!watches[kind].get(objectRef(kind, key))) this.restorer.vanished(kind, key);
  }

  private upserted(kind: FeedKind, object: LiveObject): void {
    this.restorer.noticed(kind, keyOfObject(kind, object.metadata), object);
    if (kind === 'DataPlane' && object.metadata.name === DATA_PLANE_NAME) this.dataPlaneChanged(object);
  }

  private dataPlaneChanged(object: LiveObject): void {
    this.options.status.observed(object.metadata);
    if (object.metadata.annotations?.[ANNOTATIONS.releaseDeletions] !== undefined) void this.release(object);
    this.rotation.seen(object);
  }

  /** The permission is used up before it is acted upon: a crash between asks the person again. Who gave it. */
  private async taken(dataPlane: LiveObject, annotation: string): Promise<string> {
    const { uid = '', annotations } = dataPlane.metadata;
    await this.context.cluster.annotate('DataPlane', { name: DATA_PLANE_NAME }, uid, { [annotation]: null });
    // Anybody's text, and as long as they like.
    return (annotations?.[annotation] || 'somebody').slice(0, 100);
  }

  private async release(dataPlane: LiveObject): Promise<void> {
    let by: string;
    try {
      by = await this.taken(dataPlane, ANNOTATIONS.releaseDeletions);
    } catch (error) {
      this.log.warn({ err: error }, 'held deletions stay held: the release annotation could not be taken');
      return;
    }
    const released = this.deletions.release(dataPlane.metadata.uid, by);
    this.log.info({ by, count: released.length }, 'held deletions released by a person');
    for (const tombstone of released) void this.applier.submitHeld(tombstone, true);
  }

  private sealOutputsTo(signed: SignedOutputKey): void {
    const { context, log } = this;
    if (!context.trust.isOutputKey(signed, context.dataPlaneId)) {
      if (this.refusedOutputKey === signed.kid) return;
      this.refusedOutputKey = signed.kid;
      log.warn(
        { kid: signed.kid },
        'sensitive outputs stay here: no trusted key signed what they would be sealed to',
      );
    } else if (this.outputs.setKey(signed.key))
      for (const instance of this.options.watches.Instance.all()) this.outputs.look(instance);
  }

  private isIncoming(kind: FeedKind, object: LiveObject): boolean {
    if (object.status?.desired) return false;
    const key = keyOfObject(kind, object.metadata);
    const id = object.metadata.annotations?.[ANNOTATIONS.id];
    if (id === undefined) return false;
    // The event of the first write may arrive after the second was answered.
    return this.lanes.busy(rowName(kind, key)) || this.context.rows.get(kind, key)?.good?.id === id;
  }

  /** As the verified row has it: the object may be edited, and its watch comes after the row. */
  private budget(): BudgetRule {
    const row = this.context.rows.get('DataPlane', DATA_PLANE_NAME)?.good;
    const spec = row?.spec ?? this.options.watches.DataPlane.get({ name: DATA_PLANE_NAME })?.spec ?? {};
    const { deletionBudgetPercent: percent, deletionWindowSeconds: seconds } = spec;
    return {
      percent: typeof percent === 'number' ? percent : DEFAULT_BUDGET.percent,
      windowMs: typeof seconds === 'number' ? seconds * 1000 : DEFAULT_BUDGET.windowMs,
    };
  }

  private sayHeld(): void {
    const { status } = this.options;
    const { count, names } = this.deletions.waitingNames(5);
    status.remember({ heldDeletions: count });
    if (count === 0) {
      status.clear('DeletionBlocked');
      return;
    }
    const shown = names.join(', ') + (count > names.length ? ', …' : '');
    status.condition({
      type: 'DeletionBlocked',
      status: 'True',
      reason: 'DeletionHeld',
      message:
        `${counted(count, 'deletion exceeds', 'deletions exceed')} the deletion budget and ${count === 1 ? 'waits' : 'wait'}: ${shown}. If they are meant, release them ` +
        'in the control plane (POST /v1/data-planes/<name>/held-deletions/release), or all at once with ' +
        `kubectl annotate dataplane ${DATA_PLANE_NAME} ${ANNOTATIONS.releaseDeletions}=<your name>`,
    });
  }

  private sayRefused(): void {
    const { status } = this.options;
    const message = this.context.refused.summary();
    if (message === undefined) status.clear('RowsRefused');
    else status.condition({ type: 'RowsRefused', status: 'True', reason: 'RowsRefused', message });
  }

  /** Their tombstones are not in the database any more: a person finds the objects among the unknown ones. */
  private tellLostHolds(nacks: readonly Nack[]): void {
    const { context, reporter } = this;
    for (const { kind, key, code } of nacks) {
      const held = code === 'MASS_DELETE_HELD' && this.deletions.heldTombstone(kind, key);
      if (!held) continue;
      const good = context.rows.get(kind, key)?.good;
      if (good?.id === held.id) tellHeld(context, kind, key, good);
      // A crash came before its stamp: of what it was made there is no proof.
      else reporter.unknown({ kind, key, id: held.id });
    }
  }

  private greeted(session: string, epoch: string, reset: string | undefined): void {
    this.log.info({ epoch, reset: reset ?? 'no' }, 'feed connected');
    this.connection.connected();
    if (this.reporter.sessionStarted(session, epoch)) {
      this.observer.reportAll();
      this.sink?.reportUnknown();
    }
    // A cursor of another epoch would acknowledge rows that nobody has seen.
    if (this.sink?.progress.epoch === epoch) this.acknowledge(this.sink.progress.cursor);
  }

  private lost(why: string, message: string, halted: boolean): void {
    this.log.info({ why, halted }, `feed lost: ${message}`);
    this.reporter.sessionEnded();
    this.connection.lost({ why, message }, halted);
  }

  private advanced(epoch: string, cursor: string): void {
    this.log.debug({ epoch, cursor }, 'cursor is durable');
    this.acknowledge(cursor);
    this.persistCursor();
  }

  private acknowledge(cursor: string): void {
    if (cursor !== '0') this.reporter.acknowledge(cursor, this.context.rows.digest);
  }

  /**
   * Held back below tombstones that wait for a person and ends that the control plane does not know of: after a
   * restart they come again.
   */
  private persistCursor(): void {
    const progress = this.sink?.progress;
    if (!progress || progress.epoch === '') return;
    // A new epoch is remembered once it was compared; a restart before that begins the comparison again.
    if (!this.deletions.isArmed) return;
    let cursor = BigInt(progress.cursor);
    for (const needed of [this.reporter.oldestUnreportedEnd(), this.deletions.oldestHeld()])
      if (needed !== undefined && needed <= cursor) cursor = needed - 1n;
    this.options.status.remember({ epoch: progress.epoch, cursor: String(cursor) });
  }

  /** A full transfer now, or as soon as the last one is long enough ago; asked for twice, it is made once. */
  private fetchRowsAgain(): void {
    if (this.resyncTimer) return;
    const sinceMs = this.context.clock.nowMs() - this.lastResyncMs;
    this.resyncTimer = setTimeout(
      () => {
        this.resyncTimer = undefined;
        this.lastResyncMs = this.context.clock.nowMs();
        this.feed?.dispatch({ type: 'rowsMissing' });
      },
      Math.max(0, RESYNC_EVERY_MS - sinceMs),
    );
    this.resyncTimer.unref();
  }
}
