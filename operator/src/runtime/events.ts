import { createHash } from 'node:crypto';
import type { KubeObject } from '@felucca/contract';
import type { Logger } from 'pino';
import { ApiError, isNotFound } from './api-error.ts';
import type { KubeClient } from './client.ts';
import { type Clock, systemClock } from './clock.ts';
import type { RuntimeMetrics } from './metrics.ts';
import { GVR } from './resources.ts';
import { TokenBuckets } from './token-buckets.ts';

export interface EventNote {
  type: 'Normal' | 'Warning';
  /** CamelCase, from a documented list. */
  reason: string;
  message: string;
  /** What was done, such as `Reconcile`. Default: the reason. */
  action?: string;
}
export interface EventRecorderOptions {
  client: KubeClient;
  log: Logger;
  metrics?: RuntimeMetrics;
  clock?: Clock;
  /** Such as `felucca.dev/operator`. */
  controller: string;
  /** This process, such as the pod's name. */
  instance: string;
  /** Of Events about cluster-wide objects. Default `default`, where kubectl looks for them. */
  clusterNamespace?: string;
  /** Events about one object: this many at once, then one per `refillMs`. Default 25 and 300 s. */
  burst?: number;
  refillMs?: number;
}

interface Series {
  name: string;
  namespace: string;
  count: number;
  /** How much the API server knows of. */
  sentCount: number;
  lastMs: number;
  lastTime: string;
  created: boolean;
}

const MAX_SERIES = 2_048;
const MAX_PENDING = 1_000;
/** The same Event within this time is one series; afterwards it is news again. As in client-go. */
const SERIES_MS = 360_000;
/** The API server counts bytes, also where its refusal says characters. */
const MAX_NOTE_BYTES = 1_024;
const CUT = '…';
/** One refusal is likely followed by many alike. */
const WARN_EVERY_MS = 60_000;

/**
 * Kubernetes Events for people who run `kubectl describe`. Repetitions become one Event with a count, one noisy
 * object cannot flood the API server, and nobody ever waits for an Event to be sent.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #buckets: TokenBuckets;
  readonly #series = new Map<string, Series>();
  readonly #pending = new Map<string, { series: Series; body: KubeObject }>();
  #sending: Promise<void> | undefined;
  #warnedMs = Number.NEGATIVE_INFINITY;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#buckets = new TokenBuckets(this.#clock, options.burst ?? 25, options.refillMs ?? 300_000);
  }

  emit(about: KubeObject, note: EventNote): void {
    const { uid = '', namespace } = about.metadata;
    const identity = [
      uid || `${about.kind}/${namespace}/${about.metadata.name}`,
      note.type,
      note.reason,
      note.message,
    ];
    const key = identity.join('\0');
    const nowMs = this.#clock.nowMs();
    let series = this.#series.get(key);
    if (!series || nowMs - series.lastMs > SERIES_MS) {
      if (!this.#buckets.take(identity[0]!)) {
        this.#drop('too many about one object');
        return;
      }
      series = this.#newSeries(key, about, nowMs);
    }
    series.count++;
    series.lastMs = nowMs;
    series.lastTime = this.#microTime();
    this.#series.delete(key);
    this.#series.set(key, series);
    // The 2nd, 4th, 8th … repetition is sent: a count that is right within a factor of two costs log n writes.
    if (series.count > 1 && series.count < 2 * series.sentCount) return;
    if (this.#pending.size >= MAX_PENDING && !this.#pending.has(key)) {
      this.#drop('too many wait');
      return;
    }
    this.#pending.set(key, { series, body: this.#event(series, about, note) });
    this.#startSending();
  }

  /** Resolves when everything emitted so far is sent or given up. */
  async flush(): Promise<void> {
    while (this.#sending) await this.#sending;
  }

  /** Sends what was emitted so far; what is left after this time is dropped. */
  async stop(timeoutMs: number): Promise<void> {
    const flushed = new AbortController();
    const flushing = this.flush().finally(() => flushed.abort());
    await Promise.race([flushing, this.#clock.sleep(timeoutMs, flushed.signal)]);
    const unsent = this.#pending.size;
    this.#pending.clear();
    if (unsent > 0) this.#options.log.info({ unsent }, 'Kubernetes Events are left behind');
  }

  #startSending(): void {
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
      // Emitted after the last look at the list.
      if (this.#pending.size > 0) this.#startSending();
    });
  }

  #newSeries(key: string, about: KubeObject, nowMs: number): Series {
    const [oldest] = this.#series.keys();
    if (this.#series.size >= MAX_SERIES && oldest !== undefined) this.#series.delete(oldest);
    const tail = createHash('sha256')
      .update(`${key}\0${nowMs}\0${this.#options.instance}`)
      .digest('hex')
      .slice(0, 16);
    return {
      name: `${about.metadata.name.slice(0, 200)}.${tail}`,
      namespace: about.metadata.namespace ?? this.#options.clusterNamespace ?? 'default',
      count: 0,
      sentCount: 0,
      lastMs: nowMs,
      lastTime: '',
      created: false,
    };
  }

  async #sendAll(): Promise<void> {
    // Later than the caller, so that an Event never delays the write it tells of.
    await new Promise((resolve) => setImmediate(resolve));
    for (let next = this.#pending.entries().next(); !next.done; next = this.#pending.entries().next()) {
      const [key, { series, body }] = next.value;
      this.#pending.delete(key);
      try {
        await this.#send(series, body);
      } catch (err) {
        this.#drop('refused', err);
      }
    }
  }

  async #send(series: Series, body: KubeObject): Promise<void> {
    const { client } = this.#options;
    const count = series.count;
    if (series.created) {
      try {
        const patch = { series: { count, lastObservedTime: series.lastTime } };
        await client.patch(GVR.Event, series.namespace, series.name, patch);
        series.sentCount = count;
        return;
      } catch (error) {
        // Events live for an hour; this one is over.
        if (!isNotFound(error)) throw error;
      }
    }
    await client.create(GVR.Event, series.namespace, body);
    series.created = true;
    series.sentCount = count;
  }

  #event(series: Series, about: KubeObject, note: EventNote): KubeObject {
    const { apiVersion, kind, metadata } = about;
    const { name, namespace, uid, resourceVersion } = metadata;
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: series.name, namespace: series.namespace },
      eventTime: series.lastTime,
      ...(series.count > 1 ? { series: { count: series.count, lastObservedTime: series.lastTime } } : {}),
      type: note.type,
      reason: note.reason,
      action: note.action ?? note.reason,
      note: cutToBytes(note.message, MAX_NOTE_BYTES),
      regarding: { apiVersion, kind, name, namespace, uid, resourceVersion },
      reportingController: this.#options.controller,
      reportingInstance: this.#options.instance.slice(0, 128),
    } as KubeObject;
  }

  #drop(why: string, err?: unknown): void {
    this.#options.metrics?.eventsDropped.inc();
    const nowMs = this.#clock.nowMs();
    const isDue = isRefusal(err) && nowMs - this.#warnedMs >= WARN_EVERY_MS;
    if (isDue) this.#warnedMs = nowMs;
    this.#options.log[isDue ? 'warn' : 'debug']({ err, why }, 'a Kubernetes Event was not sent');
  }

  #microTime(): string {
    return this.#clock.date().toISOString().replace('Z', '000Z');
  }
}

/** The Event itself is not taken, now and later: our mistake, or missing rights. */
const isRefusal = (err: unknown): boolean =>
  err instanceof ApiError && err.status >= 400 && err.status < 500 && ![409, 429].includes(err.status);

/** Whole characters only: half of one would become another, longer one. */
function cutToBytes(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes - Buffer.byteLength(CUT);
  const isInsideCharacter = (at: number): boolean => (bytes[at]! & 0xc0) === 0x80;
  while (isInsideCharacter(end)) end--;
  return bytes.toString('utf8', 0, end) + CUT;
}
