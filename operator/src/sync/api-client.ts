import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { type ApiTlsFiles, readTlsFiles } from './api-tls.ts';

/** Signs one request; absent on the join, which has no identity yet. */
export type Authorize = (method: 'GET' | 'POST', path: string) => Promise<string>;

export interface ApiAnswer {
  status: number;
  retryAfter: string | undefined;
  body: unknown;
}

export class ApiUnreachable extends Error {
  override name = 'ApiUnreachable';
}

/** Answers of the control API are small; a bigger one is not from it. */
const MAX_ANSWER_BYTES = 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;

/** HTTP/1.1 to the control API: pooled requests, and one socket of its own per feed connection. */
export class ApiClient {
  private readonly base: URL;
  private readonly pool: HttpAgent;
  private readonly streams: HttpAgent;
  private readonly tls: ApiTlsFiles;

  constructor(baseUrl: string, tls: ApiTlsFiles = {}) {
    this.base = new URL(baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`);
    this.tls = tls;
    const make = (keepAlive: boolean): HttpAgent =>
      this.base.protocol === 'https:'
        ? new HttpsAgent({ keepAlive, maxSockets: 4 })
        : new HttpAgent({ keepAlive, maxSockets: 4 });
    this.pool = make(true);
    this.streams = make(false);
  }

  /** As it is configured, without what may be secret in it. */
  get address(): string {
    return this.base.origin;
  }

  async postJson(path: string, body: string, timeoutMs: number, authorize?: Authorize): Promise<ApiAnswer> {
    const target = this.target(path);
    const authorization = await authorize?.('POST', target.pathname);
    const response = await this.send(target, {
      method: 'POST',
      agent: this.pool,
      body,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        ...(authorization ? { authorization } : {}),
      },
      signal: AbortSignal.timeout(timeoutMs),
    });
    return this.answer(response);
  }

  /** Resolves with the open response; the caller reads and destroys it. */
  async open(
    path: string,
    query: Record<string, string>,
    authorize: Authorize,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const target = this.target(path);
    const authorization = await authorize('GET', target.pathname);
    target.search = new URLSearchParams(query).toString();
    return this.send(target, {
      method: 'GET',
      agent: this.streams,
      headers: { accept: 'application/x-ndjson', authorization },
      signal,
    });
  }

  async answer(response: IncomingMessage): Promise<ApiAnswer> {
    const parts: Buffer[] = [];
    let size = 0;
    try {
      for await (const part of response as AsyncIterable<Buffer>) {
        size += part.length;
        if (size > MAX_ANSWER_BYTES) throw new Error(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`);
        parts.push(part);
      }
    } catch (error) {
      response.destroy();
      throw new ApiUnreachable(`the answer broke off: ${(error as Error).message}`);
    }
    const retryAfter = response.headers['retry-after'];
    return {
      status: response.statusCode ?? 0,
      retryAfter,
      body: parse(Buffer.concat(parts).toString('utf8')),
    };
  }

  close(): void {
    this.pool.destroy();
    this.streams.destroy();
  }

  private target(path: string): URL {
    return new URL(path.replace(/^\//, ''), this.base);
  }

  private async send(target: URL, options: RequestOptions & { body?: string }): Promise<IncomingMessage> {
    const { body, ...rest } = options;
    const tls = await readTlsFiles(this.tls).catch((error: Error) => {
      throw new ApiUnreachable(`${target.host}: ${error.message}`);
    });
    return new Promise((resolve, reject) => {
      const make = target.protocol === 'https:' ? httpsRequest : httpRequest;
      const request = make(target, { ...rest, ...tls }, resolve);
      const connecting = setTimeout(
        () => request.destroy(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`)),
        CONNECT_TIMEOUT_MS,
      );
      request.once('socket', (socket) => {
        if (!socket.connecting) return clearTimeout(connecting);
        socket.once('connect', () => clearTimeout(connecting));
      });
      request.once('close', () => clearTimeout(connecting));
      request.once('error', (error) => reject(new ApiUnreachable(`${target.host}: ${error.message}`)));
      request.end(body);
    });
  }
}

/** The text of an RFC 9457 problem, or what there is. */
export function problemText(answer: ApiAnswer): string {
  const body = answer.body as { title?: unknown; detail?: unknown; code?: unknown } | undefined;
  const text = [body?.code, body?.detail ?? body?.title]
    .filter((part) => typeof part === 'string')
    .join(': ');
  return `HTTP ${answer.status}${text ? ` ${text}` : ''}`.slice(0, 512);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
