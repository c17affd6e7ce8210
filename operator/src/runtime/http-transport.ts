import type { Readable } from 'node:stream';
import { ApiError } from './api-error.ts';
import { exponentialMs, retryAfterMs } from './backoff.ts';
import { type Clock, systemClock } from './clock.ts';
import { dial } from './dial.ts';
import type { H2Options } from './h2-wire.ts';
import type { KubeEndpoint } from './kube-config.ts';
import type { RuntimeMetrics } from './metrics.ts';
import { Reachability } from './reachability.ts';
import type { KubeRequest, KubeResponse, KubeStream, Transport } from './transport.ts';
import { WireError, type WireRequest, type WireResponse } from './wire.ts';
import { WirePool } from './wire-pool.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_ATTEMPTS = 5;
/** Half of it is as long as a watch must last in order to count as one that worked. */
const WATCH_DRAIN_MS = 10_000;
const MAX_RESPONSE_BYTES = 128 << 20;
const APPLY = 'application/apply-patch+yaml';

export interface HttpTransportOptions extends Omit<H2Options, 'drainMs'> {
  endpoint: KubeEndpoint;
  metrics?: RuntimeMetrics;
  clock?: Clock;
  /** Such as `felucca-operator/0.1.0`: the API server's logs and flow control show it. */
  userAgent?: string;
  /** Speak HTTP/1.1 even where HTTP/2 is offered. */
  http1?: boolean;
}

/** The way to one API server: few long-lived connections, watches apart from everything else. */
export class HttpTransport implements Transport {
  /** As requests find it; a watch may be silent or broken for reasons of its own. */
  readonly reachability: Reachability;
  readonly #options: HttpTransportOptions;
  readonly #clock: Clock;
  readonly #host: string;
  readonly #requests: WirePool;
  readonly #streams: WirePool;

  constructor(options: HttpTransportOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.reachability = new Reachability(this.#clock);
    this.#host = new URL(options.endpoint.server).host;
    this.#requests = new WirePool(() => dial(options.endpoint, options));
    const forStreams = { ...options, windowBytes: 4 << 20, drainMs: WATCH_DRAIN_MS };
    this.#streams = new WirePool(() => dial(options.endpoint, forStreams));
  }

  async request(request: KubeRequest): Promise<KubeResponse> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS } = request;
    const startedMs = this.#clock.nowMs();
    const giveUp = new AbortController();
    const cancelTimer = this.#clock.after(timeoutMs, () => {
      this.#requests.suspect();
      giveUp.abort(new Error(`no answer within ${timeoutMs} ms`));
    });
    const onAbort = (): void => giveUp.abort(request.signal?.reason);
    if (request.signal?.aborted) onAbort();
    request.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const response = await this.#withRetries(request, giveUp.signal);
      const seconds = (this.#clock.nowMs() - startedMs) / 1000;
      this.#options.metrics?.restDuration.observe({ verb: request.method, host: this.#host }, seconds);
      // A 500 to a write may be a webhook's; a read has only the API server to fail.
      if (request.method === 'GET' && response.status >= 500)
        this.reachability.failed(`GET ${request.path}: HTTP ${response.status}`);
      else this.reachability.answered();
      return response;
    } catch (error) {
      if (!request.signal?.aborted) this.reachability.failed((error as Error).message);
      throw error;
    } finally {
      cancelTimer();
      request.signal?.removeEventListener('abort', onAbort);
    }
  }

  async stream(request: KubeRequest): Promise<KubeStream> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS } = request;
    const giveUp = new AbortController();
    const cancelTimer = this.#clock.after(timeoutMs, () => {
      this.#streams.suspect();
      giveUp.abort(new Error(`no answer within ${timeoutMs} ms`));
    });
    const onAbort = (): void => giveUp.abort(request.signal?.reason);
    if (request.signal?.aborted) onAbort();
    // Stays: it also ends the stream later.
    request.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      let response = await this.#once(this.#streams, request, giveUp.signal, false);
      if (response.status === 401) {
        response.cancel();
        response = await this.#once(this.#streams, request, giveUp.signal, true);
      }
      response.body.once('close', () => request.signal?.removeEventListener('abort', onAbort));
      return { ...response, close: response.cancel };
    } catch (error) {
      request.signal?.removeEventListener('abort', onAbort);
      throw this.#noAnswer(request, error);
    } finally {
      cancelTimer();
    }
  }

  async close(): Promise<void> {
    this.#requests.close();
    this.#streams.close();
  }

  async #withRetries(request: KubeRequest, signal: AbortSignal): Promise<KubeResponse> {
    const idempotent = request.idempotent ?? (request.method === 'GET' || request.contentType === APPLY);
    let refresh = false;
    for (let attempt = 1; ; attempt++) {
      const last = attempt >= MAX_ATTEMPTS;
      try {
        const { status, headers, body } = await this.#once(this.#requests, request, signal, refresh);
        const response = { status, headers, body: await readAll(body) };
        const waitMs = retryAfterMs(headers['retry-after'], this.#clock.date().getTime());
        // Both mean that the server did not act; only 503 without a time may be anything.
        const busy = status === 429 || (status === 503 && waitMs !== undefined);
        const unknown = status === 401 && !refresh;
        if (last || (!busy && !unknown)) return response;
        this.#countRetry(request, String(status));
        if (unknown) refresh = true;
        else await this.#pause(request, attempt, waitMs ?? 0, signal);
      } catch (error) {
        const safe = error instanceof WireError && (idempotent || !error.sent);
        if (last || !safe || signal.aborted)
          throw this.#noAnswer(request, signal.aborted ? signal.reason : error);
        this.#countRetry(request, '<error>');
        await this.#pause(request, attempt, 0, signal);
      }
    }
  }

  async #once(
    pool: WirePool,
    request: KubeRequest,
    signal: AbortSignal,
    refresh: boolean,
  ): Promise<WireResponse> {
    const { endpoint, metrics } = this.#options;
    const count = (code: string): void =>
      metrics?.restRequests.inc({ code, method: request.method, host: this.#host });
    try {
      const auth = await endpoint.auth({ refresh });
      // A client certificate belongs to the connection, so a new one needs a new connection.
      if (refresh && auth.cert) pool.retire();
      const wire = await pool.take(signal);
      request.beforeSend?.();
      const response = await wire.open(this.#wireRequest(request, auth.headers), signal);
      count(String(response.status));
      return response;
    } catch (error) {
      count('<error>');
      throw error;
    }
  }

  #wireRequest(request: KubeRequest, auth: Record<string, string>): WireRequest {
    const { body } = request;
    const raw = body === undefined || Buffer.isBuffer(body) ? body : Buffer.from(asText(body));
    return {
      method: request.method,
      path: withQuery(request.path, request.query),
      headers: {
        ...auth,
        accept: request.accept ?? 'application/json',
        'user-agent': this.#options.userAgent ?? 'felucca-operator',
        ...(raw === undefined ? {} : { 'content-type': request.contentType ?? 'application/json' }),
      },
      body: raw,
    };
  }

  async #pause(request: KubeRequest, attempt: number, atLeastMs: number, signal: AbortSignal): Promise<void> {
    const jitterMs = exponentialMs(attempt - 1, 50, 2_000) * Math.random();
    await this.#clock.sleep(atLeastMs + jitterMs, signal);
    if (signal.aborted) throw this.#noAnswer(request, signal.reason);
  }

  #countRetry(request: KubeRequest, code: string): void {
    this.#options.metrics?.restRetries.inc({ code, verb: request.method, host: this.#host });
  }

  #noAnswer(request: KubeRequest, error: unknown): ApiError {
    if (error instanceof ApiError) return error;
    const why = error instanceof Error ? error.message : String(error);
    const what = `${request.method} ${request.path.split('?')[0]}`;
    return new ApiError(0, 'NoAnswer', `${what}: the API server at ${this.#host} did not answer: ${why}`, {
      cause: error,
    });
  }
}

const asText = (body: unknown): string => (typeof body === 'string' ? body : JSON.stringify(body));

function withQuery(path: string, query: KubeRequest['query']): string {
  if (!query) return path;
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined);
  if (pairs.length === 0) return path;
  const text = pairs.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&');
  return `${path}${path.includes('?') ? '&' : '?'}${text}`;
}

function readAll(body: Readable): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    let ended = false;
    body.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_RESPONSE_BYTES)
        body.destroy(new Error(`the answer is larger than ${MAX_RESPONSE_BYTES} bytes`));
      else chunks.push(chunk);
    });
    body.on('end', () => {
      ended = true;
      resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes));
    });
    body.on('error', (error) => reject(new WireError(error.message, true, error)));
    body.on('close', () => {
      if (!ended) reject(new WireError('the connection was lost in the middle of the answer', true));
    });
  });
}
