import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { Socket } from 'node:net';
import { type Wire, WireError, type WireRequest, type WireResponse } from './wire.ts';

export interface H2Options {
  /** A PING every so often… Default 10 s. */
  pingIntervalMs?: number;
  /** …and no answer within this means that the peer is gone. Default 5 s. */
  pingTimeoutMs?: number;
  /** Receive window of one stream. Default 1 MiB. */
  windowBytes?: number;
  /**
   * When the connection goes away, what still runs is ended within this, and not before half of it. Default: never, for
   * requests, which end by themselves.
   */
  drainMs?: number;
}

/** kube-apiserver's default is 100 or more; a server that says less is believed. */
const MAX_STREAMS = 100;
const SUSPECT_TIMEOUT_MS = 1_500;

/** One HTTP/2 connection. */
export class H2Wire implements Wire {
  readonly #session: ClientHttp2Session;
  readonly #pingTimeoutMs: number;
  readonly #pinger: NodeJS.Timeout;
  readonly #drainMs: number | undefined;
  readonly #streams = new Set<ClientHttp2Stream>();
  #goingAway = false;
  #failure: Error | undefined;

  constructor(server: URL, socket: Socket, options: H2Options = {}) {
    const windowBytes = options.windowBytes ?? 1 << 20;
    this.#pingTimeoutMs = options.pingTimeoutMs ?? 5_000;
    this.#drainMs = options.drainMs;
    this.#session = connect(server, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: windowBytes },
      // Node counts buffered frames against this (MB); its default of 10 would break sessions with large windows.
      maxSessionMemory: 128,
    });
    this.#session.once('connect', () => this.#session.setLocalWindowSize(8 * windowBytes));
    this.#session.on('goaway', () => this.#leave());
    this.#session.on('error', (error) => {
      this.#failure ??= error;
    });
    this.#session.on('close', () => clearInterval(this.#pinger));
    this.#pinger = setInterval(() => this.#ping(this.#pingTimeoutMs), options.pingIntervalMs ?? 10_000);
    this.#pinger.unref();
  }

  get usable(): boolean {
    return !this.#goingAway && !this.#session.closed && !this.#session.destroyed;
  }

  get room(): number {
    const allowed = this.#session.remoteSettings?.maxConcurrentStreams ?? MAX_STREAMS;
    return Math.min(allowed, MAX_STREAMS) - this.#streams.size;
  }

  open(request: WireRequest, signal: AbortSignal): Promise<WireResponse> {
    // Its abort event came already: nothing would end this request.
    if (signal.aborted) return Promise.reject(new WireError('given up', false, signal.reason));
    return new Promise((resolve, reject) => {
      let stream: ClientHttp2Stream;
      try {
        stream = this.#session.request(
          { ...request.headers, ':method': request.method, ':path': request.path },
          { endStream: request.body === undefined },
        );
      } catch (error) {
        reject(new WireError('the connection was closed before the request was sent', false, error));
        return;
      }
      this.#streams.add(stream);
      const cancel = (): void => stream.close(constants.NGHTTP2_CANCEL);
      const abort = (): void => {
        cancel();
        reject(new WireError('given up', stream.id !== undefined, signal.reason));
      };
      signal.addEventListener('abort', abort, { once: true });
      stream.on('error', (error) => reject(this.#lost(stream, error)));
      stream.once('close', () => {
        this.#streams.delete(stream);
        signal.removeEventListener('abort', abort);
        reject(this.#lost(stream, this.#failure));
      });
      stream.once('response', ({ ':status': status = 0, ...headers }) =>
        resolve({ status, headers: headers as Record<string, string | undefined>, body: stream, cancel }),
      );
      if (request.body !== undefined) stream.end(request.body);
    });
  }

  suspect(): void {
    this.#ping(SUSPECT_TIMEOUT_MS);
  }

  drain(): void {
    this.#leave();
    this.#session.close();
  }

  destroy(): void {
    this.#session.destroy();
  }

  /** Node pings no more once a session is closing: what has no end of its own would not notice that the peer is gone. */
  #leave(): void {
    if (this.#goingAway) return;
    this.#goingAway = true;
    const drainMs = this.#drainMs;
    if (drainMs === undefined) return;
    // Each at a time of its own: an API server that goes away has many clients, and we have many watches.
    for (const stream of this.#streams)
      setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), (drainMs * (1 + Math.random())) / 2).unref();
  }

  #lost(stream: ClientHttp2Stream, cause: unknown): WireError {
    // REFUSED_STREAM is the server's promise that it did nothing: also what a GOAWAY makes of later streams.
    const sent = stream.id !== undefined && stream.rstCode !== constants.NGHTTP2_REFUSED_STREAM;
    const reason = this.#failure ?? cause;
    return new WireError(reason instanceof Error ? reason.message : 'the connection was lost', sent, reason);
  }

  #ping(timeoutMs: number): void {
    if (this.#session.closed || this.#session.destroyed) return;
    let answered = false;
    const deadline = setTimeout(() => {
      // If our own event loop was busy, the answer may wait in the socket: let it be read before judging.
      setImmediate(() => {
        if (answered) return;
        this.#failure ??= new Error(`the API server did not answer a PING within ${timeoutMs} ms`);
        this.#session.destroy(this.#failure);
      });
    }, timeoutMs);
    deadline.unref();
    try {
      this.#session.ping(() => {
        answered = true;
        clearTimeout(deadline);
      });
    } catch {
      // Closed in between: nobody is waiting for this answer.
      clearTimeout(deadline);
    }
  }
}
