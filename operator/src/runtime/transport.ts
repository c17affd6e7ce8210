import type { Readable } from 'node:stream';

export interface KubeRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path, with or without a query. */
  path: string;
  /** What of the object is written, such as `status`. The path names it too, but its end may as well be the object's name. */
  subresource?: string;
  query?: Record<string, string | number | boolean | undefined>;
  /** Sent as JSON unless it is already bytes or text. */
  body?: unknown;
  contentType?: string;
  accept?: string;
  /** For everything: waiting, sending, retries, the body. Default 30 s. */
  timeoutMs?: number;
  /** Whether a request whose answer got lost may be sent again. Default: reads and server-side applies. */
  idempotent?: boolean;
  /** Ends it at any time; a stream also after it was opened. */
  signal?: AbortSignal;
  /** Asked right before each attempt is sent; what it throws ends the request. */
  beforeSend?: () => void;
}

export interface KubeResponse {
  status: number;
  headers: Record<string, string | undefined>;
  body: Buffer;
}

export interface KubeStream {
  status: number;
  headers: Record<string, string | undefined>;
  /** Ends or fails with the connection. */
  body: Readable;
  close(): void;
}

/** The way to one API server. Any HTTP status resolves; it rejects (`ApiError`, status 0) when no answer came. */
export interface Transport {
  request(request: KubeRequest): Promise<KubeResponse>;
  /** For watches: on a connection of its own, so that a slow reader does not hold back writes or the Lease. */
  stream(request: KubeRequest): Promise<KubeStream>;
  close(): Promise<void>;
}
