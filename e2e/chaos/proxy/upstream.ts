import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';

export interface UpstreamAddress {
  readonly server: string;
  readonly caPem: string;
}

/** One HTTP/2 connection to an API server, opened again when it was lost. */
export class Upstream {
  readonly #address: UpstreamAddress;
  readonly #onGoaway: () => void;
  #session: ClientHttp2Session | undefined;

  /** `onGoaway`: the API server takes no more requests here, so the other side must hear of it. */
  constructor(address: UpstreamAddress, onGoaway: () => void) {
    this.#address = address;
    this.#onGoaway = onGoaway;
  }

  request(headers: Record<string, string>, body: Buffer): ClientHttp2Stream {
    const stream = this.#open().request(headers, { endStream: body.length === 0 });
    if (body.length > 0) stream.end(body);
    return stream;
  }

  close(): void {
    this.#session?.destroy();
    this.#session = undefined;
  }

  #open(): ClientHttp2Session {
    const current = this.#session;
    if (current && !current.closed && !current.destroyed) return current;
    const session = connect(this.#address.server, {
      ca: this.#address.caPem,
      settings: { enablePush: false, initialWindowSize: 4 << 20 },
      maxSessionMemory: 256,
    });
    session.once('connect', () => session.destroyed || session.setLocalWindowSize(64 << 20));
    session.on('goaway', () => {
      if (this.#session === session) this.#session = undefined;
      this.#onGoaway();
    });
    // Each stream hears of it by itself.
    session.on('error', () => undefined);
    session.on('close', () => {
      if (this.#session === session) this.#session = undefined;
    });
    this.#session = session;
    return session;
  }
}
