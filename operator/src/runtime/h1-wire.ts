import * as http from 'node:http';
import * as https from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import { type Wire, WireError, type WireRequest, type WireResponse } from './wire.ts';

const MAX_SOCKETS = 64;
const NEVER_CONNECTED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/** Keep-alive HTTP/1.1, for servers and proxies that do not speak HTTP/2. */
export class H1Wire implements Wire {
  readonly #server: URL;
  readonly #agent: http.Agent;
  #inFlight = 0;
  #usable = true;

  constructor(server: URL, tls: SecureContextOptions & { servername?: string; rejectUnauthorized: boolean }) {
    this.#server = server;
    const options = { keepAlive: true, maxSockets: MAX_SOCKETS, noDelay: true };
    this.#agent =
      server.protocol === 'http:' ? new http.Agent(options) : new https.Agent({ ...options, ...tls });
  }

  get usable(): boolean {
    return this.#usable;
  }
  get room(): number {
    return MAX_SOCKETS - this.#inFlight;
  }

  open(wireRequest: WireRequest, signal: AbortSignal): Promise<WireResponse> {
    // Its abort event came already: nothing would end this request.
    if (signal.aborted) return Promise.reject(new WireError('given up', false, signal.reason));
    const { request } = this.#server.protocol === 'http:' ? http : https;
    return new Promise((resolve, reject) => {
      this.#inFlight++;
      const { method, headers, body } = wireRequest;
      const outgoing = request(new URL(wireRequest.path, this.#server), {
        agent: this.#agent,
        method,
        headers: body === undefined ? headers : { ...headers, 'content-length': String(body.length) },
      });
      const cancel = (): void => void outgoing.destroy();
      const abort = (): void => {
        cancel();
        reject(new WireError('given up', true, signal.reason));
      };
      signal.addEventListener('abort', abort, { once: true });
      outgoing.once('close', () => {
        this.#inFlight--;
        signal.removeEventListener('abort', abort);
      });
      outgoing.on('error', (error: NodeJS.ErrnoException) =>
        reject(new WireError(error.message, !NEVER_CONNECTED.has(error.code ?? ''), error)),
      );
      outgoing.once('response', (incoming) =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers as Record<string, string | undefined>,
          body: incoming,
          cancel,
        }),
      );
      outgoing.end(body);
    });
  }

  /** Nothing to ask: HTTP/1.1 has no PING; the request that got no answer is destroyed with its socket. */
  suspect(): void {}

  drain(): void {
    this.#usable = false;
    this.#agent.destroy();
  }
  destroy(): void {
    this.drain();
  }
}
