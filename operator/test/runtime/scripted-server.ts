import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { constants, createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

export interface Call {
  /** From 1 on. */
  n: number;
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  version: string;
}
export type Answer =
  /** An open one goes on, as a watch does. */
  | { status: number; headers?: Record<string, string>; body: string; open?: boolean }
  /** RST_STREAM with REFUSED_STREAM: the promise that nothing was done. */
  | 'refuse'
  /** The connection breaks when the request has arrived. */
  | 'hang-up';

/** An HTTPS server whose answers a test writes. */
export class ScriptedServer {
  answer: (call: Call) => Promise<Answer> = async () => ({ status: 200, body: '{}' });
  readonly calls: Call[] = [];
  connections = 0;
  readonly #server: Http2SecureServer | Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #sockets = new Set<Socket>();

  private constructor(options: { cert: Buffer; key: Buffer; http1?: boolean }) {
    const { cert, key, http1 } = options;
    if (http1)
      this.#server = createServer({ cert, key }, (request, response) => void this.#handle(request, response));
    else {
      const server = createSecureServer({ cert, key, settings: { maxConcurrentStreams: 10 } });
      server.on('session', (session) => {
        this.#sessions.add(session);
        session.on('close', () => this.#sessions.delete(session));
      });
      server.on('request', (request, response) => void this.#handle(request, response));
      this.#server = server;
    }
    this.#server.on('secureConnection', (socket: Socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
    });
  }

  static async start(options: { cert: Buffer; key: Buffer; http1?: boolean }): Promise<ScriptedServer> {
    const scripted = new ScriptedServer(options);
    await new Promise<void>((resolve) => scripted.#server.listen(0, '127.0.0.1', resolve));
    return scripted;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  goAway(): void {
    for (const session of this.#sessions) session.goaway(constants.NGHTTP2_NO_ERROR);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => (this.#server as Server).close(() => resolve()));
  }

  async #handle(
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
  ): Promise<void> {
    const call: Call = {
      n: this.calls.length + 1,
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      version: request.httpVersion,
    };
    this.calls.push(call);
    const answer = await this.answer(call);
    if (answer === 'hang-up') for (const socket of this.#sockets) socket.destroy();
    else if (answer === 'refuse')
      (response as Http2ServerResponse).stream.close(constants.NGHTTP2_REFUSED_STREAM);
    else {
      (response as ServerResponse).writeHead(answer.status, {
        'content-type': 'application/json',
        ...answer.headers,
      });
      if (answer.open) (response as ServerResponse).write(answer.body);
      else response.end(answer.body);
    }
  }
}
