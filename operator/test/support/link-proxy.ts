import { Buffer } from 'node:buffer';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface Call {
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  readonly body: Buffer;
}

/** What goes wrong on the way. Each hook may be left out. */
export interface LinkFault {
  /** Before the API hears of it: an answer in its place, or `lose`. */
  request?: (call: Call) => 'lose' | { status: number; headers?: Record<string, string> } | undefined;
  /** The API has acted; `lose` cuts the connection before the operator hears a word. */
  answer?: (call: Call) => 'lose' | undefined;
  /** One line of the feed, without its end: the lines that arrive in its place. */
  line?: (line: string) => string[] | Promise<string[]>;
  /** After that line the connection is cut; what `line` gave is sent first, without a line end. */
  cutsAfter?: (line: string) => boolean;
}

/** Between an operator and the real control-api, over HTTP/1.1. One fault at a time. */
export class LinkProxy {
  fault: LinkFault = {};
  /** Nobody gets through, as when the network is away. */
  closed = false;
  readonly calls: Call[] = [];
  private readonly server: Server;
  private readonly target: URL;
  private readonly sockets = new Set<Socket>();

  private constructor(server: Server, target: URL) {
    this.server = server;
    this.target = target;
  }

  static async start(target: string): Promise<LinkProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy = new LinkProxy(server, new URL(target));
    server.on('connection', (socket) => {
      if (proxy.closed) return socket.destroy();
      proxy.sockets.add(socket);
      socket.once('close', () => proxy.sockets.delete(socket));
    });
    server.on('request', (incoming, outgoing) => void proxy.pass(incoming, outgoing));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Every connection is lost at once. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.server.close(resolve));
    this.cut();
    await ended;
  }

  private async pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    outgoing.on('error', () => undefined);
    try {
      const { method = '', url = '' } = incoming;
      const call: Call = { method, path: url.split('?')[0] ?? '', body: await bodyOf(incoming) };
      this.calls.push(call);
      const verdict = this.fault.request?.(call);
      if (verdict === 'lose') return void outgoing.destroy();
      if (verdict) return void outgoing.writeHead(verdict.status, verdict.headers).end('{}');
      const answer = await this.forward(incoming, call);
      if (this.fault.answer?.(call) === 'lose') {
        answer.destroy();
        return void outgoing.destroy();
      }
      outgoing.once('close', () => answer.destroy());
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      outgoing.flushHeaders();
      if (answer.headers['content-type'] === 'application/x-ndjson') await this.feed(answer, outgoing);
      else answer.pipe(outgoing);
    } catch {
      // The API is away, or the operator is: the other side sees the same.
      outgoing.destroy();
    }
  }

  private forward(incoming: IncomingMessage, { method, body }: Call): Promise<IncomingMessage> {
    const { hostname, port } = this.target;
    const { connection: _, ...headers } = incoming.headers;
    return new Promise((resolve, reject) => {
      const onward = request({ hostname, port, method, path: incoming.url, headers, agent: false }, resolve);
      onward.once('error', reject);
      onward.end(body);
    });
  }

  private async feed(answer: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    let rest = '';
    for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const out = line === '' ? [''] : ((await this.fault.line?.(line)) ?? [line]);
        if (outgoing.destroyed) return;
        if (line !== '' && this.fault.cutsAfter?.(line)) {
          outgoing.write(out.join('\n'), () => outgoing.destroy());
          return;
        }
        for (const one of out) outgoing.write(`${one}\n`);
      }
    }
    outgoing.end(rest);
  }
}

async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
