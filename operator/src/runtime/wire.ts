import type { Readable } from 'node:stream';

/** One request as it goes over a connection. */
export interface WireRequest {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Buffer | undefined;
}
export interface WireResponse {
  status: number;
  headers: Record<string, string | undefined>;
  body: Readable;
  cancel(): void;
}

/** A connection, or a pool of them, speaking one protocol. */
export interface Wire {
  /** False: no new requests, a new wire is needed. */
  readonly usable: boolean;
  /** Requests that may still be added without waiting. */
  readonly room: number;
  /** Resolves with the response's head. Rejects with `WireError`. */
  open(request: WireRequest, signal: AbortSignal): Promise<WireResponse>;
  /** Somebody got no answer in time: find out now whether the peer still lives. */
  suspect(): void;
  /** Lets running requests end. */
  drain(): void;
  destroy(): void;
}

/** A request that got no answer. */
export class WireError extends Error {
  override name = 'WireError';
  /** False: the server cannot have acted on it, so sending it again is safe whatever it is. */
  readonly sent: boolean;
  constructor(message: string, sent: boolean, cause?: unknown) {
    super(message, { cause });
    this.sent = sent;
  }
}
