import type { KubeObject } from '@felucca/contract';
import type { Logger } from 'pino';
import { ApiError, apiErrorOf, isGone } from './api-error.ts';
import { ReconnectBackoff, retryAfterMs } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { type Clock, systemClock } from './clock.ts';
import { coldBecause, staleBecause } from './cold-cache.ts';
import type { RuntimeMetrics } from './metrics.ts';
import { type Gvr, objectKey, resourcePath } from './resources.ts';
import { type MetadataScan, parseWithoutManagedFields, scanMetadata } from './scan-metadata.ts';
import { type Indexers, ObjectStore, type Store } from './store.ts';
import type { KubeStream } from './transport.ts';
import { watchLines } from './watch-lines.ts';

export interface ReflectorOptions<T extends KubeObject> {
  client: KubeClient;
  log: Logger;
  metrics?: RuntimeMetrics;
  clock?: Clock;
  random?: () => number;
  gvr: Gvr;
  /** Undefined: all namespaces. */
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Keeps only what is needed of an object (metadata's name, namespace, uid and resourceVersion always are). */
  project?: (object: KubeObject) => T;
  indexers?: Indexers<T>;
  /** A watch that says nothing (not even a bookmark, which comes about every minute) for this long is dead. */
  silentMs?: number;
  /** False: paged lists even where the API server could stream the list. */
  watchList?: boolean;
}

/**
 * Why a watch ended; `expired` means that what we have cannot be gone on from, and `outdated` that it may be too old for
 * a new leader.
 */
type End = {
  reason: 'closed' | 'error' | 'expired' | GivenUp;
  error?: unknown;
  waitMs?: number;
};
/** We end it ourselves, and have to list again. */
type GivenUp = 'silent' | 'outdated';
interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: KubeObject & {
    code?: number;
    reason?: string;
    message?: string;
    details?: { retryAfterSeconds?: number };
  };
}

/** A list that is not complete yet. */
interface Listing {
  askedMs: number;
  keys: Set<string>;
}

const YIELD_EVERY = 250;
/** A watch that ended sooner than this did not work: wait before the next. */
const HEALTHY_MS = 5_000;
/** Of an answer that is no watch: more than any `metav1.Status` needs. */
const MAX_REFUSAL_BYTES = 64 << 10;
const REFUSAL_TIMEOUT_MS = 10_000;
/** For a list that a new leader waits for. */
const LIST_TIMEOUT_MS = 120_000;
const LOOK_EVERY_MS = 20;
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

/** Keeps a store equal to what the API server has: a list, then a watch from there, for ever. */
export class Reflector<T extends KubeObject> {
  readonly store: Store<T>;
  readonly #store: ObjectStore<T>;
  readonly #options: ReflectorOptions<T>;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #backoff: ReconnectBackoff;
  #streamLists: boolean;
  /** From where to go on; undefined: list first. Moves only after an event has been taken in. */
  #resourceVersion: string | undefined;
  #listedMs = Number.NEGATIVE_INFINITY;
  /** When the latest list was asked for, complete or not. */
  #askedMs = Number.NEGATIVE_INFINITY;
  /** Since when this turn has heard changes. The list before does not count: it may be long, and expired at its end. */
  #followedMs = Number.POSITIVE_INFINITY;
  /** Why the last list or watch ended, if with an error, and when the last of these was. */
  #lastError: unknown;
  #failedMs = Number.NEGATIVE_INFINITY;
  /** Ends the list, the watch or the pause that there is now, for this reason. */
  #end: (reason: GivenUp) => void = () => undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#streamLists = options.watchList ?? true;
    this.#backoff = new ReconnectBackoff(this.#clock, { random: this.#random });
    this.#store = new ObjectStore<T>({
      clock: this.#clock,
      log: options.log,
      ...(options.indexers ? { indexers: options.indexers } : {}),
    });
    this.store = this.#store;
  }

  get kind(): string {
    return this.#options.gvr.kind;
  }

  /** When, by the clock, the list was asked for that the store goes back to: it shows all that was written until then. */
  get listedMs(): number {
    return this.#listedMs;
  }

  /** Why the store is not warm yet and what to do about it; undefined when it is. */
  get coldBecause(): string | undefined {
    return this.#store.isSynced ? undefined : coldBecause(this.#options.gvr, this.#lastError);
  }

  /** Why the store may be wrong although it was warm: nothing heard for this long. Undefined while it is fresh or cold. */
  staleBecause(limitMs: number): string | undefined {
    const ageMs = this.#store.ageMs();
    if (!this.#store.isSynced || ageMs <= limitMs) return undefined;
    return staleBecause(this.#options.gvr, ageMs, this.#lastError);
  }

  /** What the API server answered to our own write of an object that this reflector watches. */
  learn(object: KubeObject): void {
    const bare = { ...object, metadata: { ...object.metadata, managedFields: undefined } };
    this.#store.learn(objectKey(object.metadata), this.#project(bare));
  }

  /**
   * Until the store goes back to a list that was asked for at this time of the clock or later.
   * @throws when that fails, or takes two minutes; it goes on being tried.
   */
  async listedSince(sinceMs: number, signal: AbortSignal): Promise<void> {
    if (this.#listedMs >= sinceMs) return;
    const startedMs = this.#clock.nowMs();
    if (this.#askedMs < sinceMs) this.#end('outdated');
    while (this.#listedMs < sinceMs && !signal.aborted) {
      if (this.#failedMs >= startedMs || this.#clock.nowMs() >= startedMs + LIST_TIMEOUT_MS)
        throw new Error(coldBecause(this.#options.gvr, this.#lastError, 'not listed again'));
      await this.#clock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  /** Runs until the signal aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const unobserve = this.#observe();
    while (!signal.aborted) {
      this.#followedMs = Number.POSITIVE_INFINITY;
      const end = await this.#turn(signal);
      if (signal.aborted) break;
      await this.#pause(this.#afterEnd(end, this.#clock.nowMs() - this.#followedMs), signal);
    }
    unobserve();
  }

  /** One list if needed, one watch until it ends. Of a turn that was given up, that is the reason, however it ended. */
  async #turn(signal: AbortSignal): Promise<End> {
    const turn = new Turn();
    this.#end = (reason) => turn.end(reason);
    const end = await this.#listAndWatch(turn, signal).catch(endOf);
    return turn.givenUp ? { reason: turn.givenUp } : end;
  }

  async #listAndWatch(turn: Turn, signal: AbortSignal): Promise<End> {
    if (this.#resourceVersion === undefined && !this.#streamLists) await this.#list();
    return this.#watch(turn, signal);
  }

  /** Ends early when somebody needs a list, which is then what comes next. */
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const pause = new AbortController();
    this.#end = () => {
      this.#resourceVersion = undefined;
      pause.abort();
    };
    await this.#clock.sleep(ms, AbortSignal.any([signal, pause.signal]));
  }

  #afterEnd(end: End, lastedMs: number): number {
    const kind = this.#options.gvr.kind;
    if (end.reason !== 'outdated') {
      this.#lastError = end.error;
      if (end.error) this.#failedMs = this.#clock.nowMs();
    }
    this.#options.metrics?.watchRestarts.inc({ kind, reason: end.reason });
    const cannotStream = end.error instanceof ApiError && [400, 422].includes(end.error.status);
    if (cannotStream && this.#streamLists && this.#resourceVersion === undefined) {
      this.#options.log.info(
        { kind, err: end.error },
        'the API server does not stream lists; listing in pages',
      );
      this.#streamLists = false;
      return 0;
    }
    if (end.reason === 'expired') {
      this.#options.log.info(
        { kind, err: end.error },
        'the watch cannot go on from where it was; listing again',
      );
      this.#resourceVersion = undefined;
    }
    // What stopped talking may have lost its place.
    if (end.reason === 'silent' || end.reason === 'outdated') this.#resourceVersion = undefined;
    // A new leader waits for it.
    if (end.reason === 'outdated') return 0;
    // A watch that worked for a while ended as watches do; a look at once, then slower.
    if (lastedMs >= HEALTHY_MS) {
      this.#backoff.reset();
      return Math.max(end.waitMs ?? 0, Math.round(this.#random() * 50));
    }
    if (end.error) this.#options.log.warn({ kind, err: end.error, reason: end.reason }, 'the watch failed');
    return Math.max(end.waitMs ?? 0, this.#backoff.nextMs());
  }

  async #list(): Promise<void> {
    const { client, gvr, namespace, labelSelector, fieldSelector } = this.#options;
    const listing = this.#beginList();
    let resourceVersion = '';
    const selectors = {
      ...(labelSelector ? { labelSelector } : {}),
      ...(fieldSelector ? { fieldSelector } : {}),
    };
    for await (const page of client.pages(gvr, namespace, selectors)) {
      for (const item of page.items) {
        listing.keys.add(this.#put(item));
      }
      resourceVersion = page.resourceVersion;
      this.#store.heard();
      await nextTurn();
    }
    this.#completeList(listing, resourceVersion);
  }

  #beginList(): Listing {
    this.#askedMs = this.#clock.nowMs();
    this.#store.beginList();
    return { askedMs: this.#askedMs, keys: new Set() };
  }

  /** What a complete list does not have is gone, however long we were away. */
  #completeList({ keys, askedMs }: Listing, resourceVersion: string): void {
    this.#store.told(resourceVersion);
    for (const key of [...this.#store.keys()]) if (!keys.has(key)) this.#store.remove(key, false);
    this.#resourceVersion = resourceVersion;
    this.#listedMs = askedMs;
    this.#store.heard();
    this.#store.markSynced();
  }

  async #watch(turn: Turn, signal: AbortSignal): Promise<End> {
    const { client, gvr, namespace, labelSelector, fieldSelector } = this.#options;
    const isList = this.#resourceVersion === undefined;
    const listing = isList ? this.#beginList() : undefined;
    const stream = await client.transport.stream({
      method: 'GET',
      path: resourcePath(gvr, namespace),
      query: {
        watch: true,
        allowWatchBookmarks: true,
        // Random, so that the watches of many clients do not end together.
        timeoutSeconds: 300 + Math.floor(this.#random() * 300),
        labelSelector,
        fieldSelector,
        resourceVersion: this.#resourceVersion,
        ...(isList ? { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' } : {}),
      },
      signal: AbortSignal.any([signal, turn.signal]),
    });
    if (stream.status !== 200) throw await this.#refusal(stream);
    if (!isList) this.#followedMs = this.#clock.nowMs();
    const stopGuard = this.#guardSilence(turn);
    try {
      return await this.#consume(watchLines(stream.body), listing);
    } finally {
      stopGuard();
      stream.close();
    }
  }

  /** Whoever answers may be a proxy that never ends: what has come within the bounds says enough. */
  async #refusal({ status, headers, body, close }: KubeStream): Promise<ApiError> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const cancel = this.#clock.after(REFUSAL_TIMEOUT_MS, close);
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes >= MAX_REFUSAL_BYTES) break;
      }
    } catch {
      // Cut off; the status stays what it is.
    } finally {
      cancel();
      close();
    }
    const waitMs = retryAfterMs(headers['retry-after'], this.#clock.date().getTime());
    return apiErrorOf(status, `watch ${this.#options.gvr.resource}`, Buffer.concat(chunks), waitMs);
  }

  /** `listing` collects what a streamed list has until its end is announced. */
  async #consume(lines: AsyncIterable<Buffer>, listing: Listing | undefined): Promise<End> {
    let initial = listing;
    let count = 0;
    for await (const line of lines) {
      this.#store.heard();
      const scan = scanMetadata(line);
      const end = this.#take(line, scan, initial);
      if (end === 'list-complete') {
        initial = undefined;
        this.#followedMs = this.#clock.nowMs();
      } else if (end) return end;
      // Thousands of lines can be in memory at once; timers and the Lease must get their turn.
      if (++count % YIELD_EVERY === 0) await nextTurn();
    }
    return { reason: 'closed' };
  }

  #take(line: Buffer, scan: MetadataScan, initial: Listing | undefined): End | 'list-complete' | undefined {
    const { metrics, gvr } = this.#options;
    if (this.#isKnown(line, scan)) return undefined;
    const { type, object } = parseWithoutManagedFields(line, scan) as WatchEvent;
    metrics?.watchEvents.inc({ kind: gvr.kind, type });
    // A list is what is true now, even when versions went back; only what follows it has an order.
    if (!initial && isRepetition(this.#store, type, object)) return undefined;
    switch (type) {
      case 'ADDED':
      case 'MODIFIED': {
        const key = this.#put(object);
        initial?.keys.add(key);
        break;
      }
      case 'DELETED':
        this.#store.remove(objectKey(object.metadata), false, this.#project(object));
        break;
      case 'BOOKMARK':
        if (initial && object.metadata.annotations?.[INITIAL_EVENTS_END] === 'true') {
          this.#completeList(initial, object.metadata.resourceVersion!);
          return 'list-complete';
        }
        break;
      default:
        return endOf(eventError(object));
    }
    if (!initial) this.#moveOn(object.metadata.resourceVersion);
    return undefined;
  }

  /** The store has exactly this version already, as of our own writes: nothing to parse. */
  #isKnown(line: Buffer, scan: MetadataScan): boolean {
    if (scan.name === undefined || scan.resourceVersion === undefined) return false;
    const type = line.toString('latin1', 9, 14);
    if (type !== 'ADDED' && type !== 'MODIF') return false;
    const key = objectKey({ namespace: scan.namespace, name: scan.name });
    if (!this.#store.knows(key, scan.resourceVersion)) return false;
    this.#moveOn(scan.resourceVersion);
    return true;
  }

  /** Only after a complete list: what is in one comes in any order, and nothing can be resumed from inside it. */
  #moveOn(resourceVersion: string | undefined): void {
    if (resourceVersion === undefined) return;
    this.#resourceVersion = resourceVersion;
    this.#store.told(resourceVersion);
  }

  #put(object: KubeObject): string {
    const key = objectKey(object.metadata);
    // `delete` would turn the object into a slow, larger one.
    (object.metadata as { managedFields?: unknown }).managedFields = undefined;
    // What a relist finds changed is news; only the first list is not.
    this.#store.put(key, this.#project(object), !this.#store.isSynced);
    return key;
  }

  #project(object: KubeObject): T {
    return this.#options.project ? this.#options.project(object) : (object as T);
  }

  /** Ends the watch when nothing was heard for too long; the connection's own PING is asked more often. */
  #guardSilence(turn: Turn): () => void {
    const silentMs = this.#options.silentMs ?? 150_000;
    // A stream that only opens has told nothing: the store's age goes on, and this stream has its own time to speak.
    const openedMs = this.#clock.nowMs();
    const timer = setInterval(
      () => {
        if (Math.min(this.#store.ageMs(), this.#clock.nowMs() - openedMs) >= silentMs) turn.end('silent');
      },
      Math.max(50, silentMs / 10),
    );
    return () => clearInterval(timer);
  }

  #observe(): () => void {
    const { metrics, gvr } = this.#options;
    if (!metrics) return () => undefined;
    const labels = { kind: gvr.kind };
    const stops = [
      metrics.onCollect(metrics.watchAge, () => metrics.watchAge.set(labels, this.#store.ageMs() / 1000)),
      metrics.onCollect(metrics.cachedObjects, () => metrics.cachedObjects.set(labels, this.#store.size)),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }
}

function isRepetition(
  store: Pick<ObjectStore<KubeObject>, 'hasPassed'>,
  type: WatchEvent['type'],
  { metadata }: KubeObject,
): boolean {
  if (type === 'BOOKMARK' || type === 'ERROR' || metadata.resourceVersion === undefined) return false;
  return store.hasPassed(objectKey(metadata), metadata.resourceVersion);
}

/** A list and a watch, which may be given up at any time, also while they are only asked for. */
class Turn {
  givenUp: GivenUp | undefined;
  readonly #ended = new AbortController();

  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  end(reason: GivenUp): void {
    this.givenUp ??= reason;
    this.#ended.abort();
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function eventError(object: WatchEvent['object']): ApiError {
  const seconds = object.details?.retryAfterSeconds;
  return new ApiError(
    object.code ?? 500,
    object.reason ?? '',
    object.message ?? 'the API server ended the watch with an error',
    seconds === undefined ? {} : { retryAfterMs: seconds * 1000 },
  );
}

function endOf(error: unknown): End {
  const waitMs = error instanceof ApiError ? error.retryAfterMs : undefined;
  const reason = isGone(error) || isFromTheFuture(error) ? 'expired' : 'error';
  return { reason, error, ...(waitMs === undefined ? {} : { waitMs }) };
}

/** Etcd was restored from a backup. Waiting for our version would be waiting for ever. */
const isFromTheFuture = (error: unknown): boolean =>
  error instanceof ApiError && error.message.includes('Too large resource version');
