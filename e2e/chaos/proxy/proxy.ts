import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { type ApiRequest, describeRequest } from './api-request.ts';
import {
  type Answer,
  type Fault,
  judgeAnswer,
  judgeFrame,
  judgeRequest,
  type UpstreamName,
  type WatchStream,
} from './fault.ts';
import { expired, LineSplitter, readFrame } from './frames.ts';
import { Journal } from './journal.ts';
import { Upstream, type UpstreamAddress } from './upstream.ts';

export interface ProxyOptions {
  /** Of the proxy itself, signed by the authority that the operator trusts. */
  readonly certPem: string;
  readonly keyPem: string;
  readonly upstreams: Readonly<Partial<Record<UpstreamName, UpstreamAddress>>>;
}

type Connection = ServerHttp2Session | Socket;
const MAX_BODY_BYTES = 64 << 20;
/** Belong to one connection, or to a body that a fault may change. */
const NOT_PASSED_ON = [
  'connection',
  'host',
  'transfer-encoding',
  'keep-alive',
  'upgrade',
  'http2-settings',
  'content-length',
];

/** Stands between the operator and its API server, in HTTP/2 (or 1.1) on both sides, and does what the faults say. */
export class ChaosProxy {
  readonly journal = new Journal();
  readonly server: string;
  /** Where a request goes when no fault says otherwise. */
  route: (request: ApiRequest) => UpstreamName = () => 'a';
  readonly #options: ProxyOptions;
  readonly #http: Http2SecureServer;
  #faults: readonly Fault[] = [];
  readonly #watches = new Set<WatchStream>();
  readonly #sockets = new Set<Socket>();
  /** Its own connection to each API server per connection of the operator: they live and die together. */
  readonly #connections = new Map<Connection, Partial<Record<UpstreamName, Upstream>>>();
  #nextId = 1;

  private constructor(options: ProxyOptions, http: Http2SecureServer) {
    this.#options = options;
    this.#http = http;
    this.server = `https://127.0.0.1:${(http.address() as AddressInfo).port}`;
  }

  static async start(options: ProxyOptions): Promise<ChaosProxy> {
    const http = createSecureServer({
      cert: options.certPem,
      key: options.keyPem,
      allowHTTP1: true,
      settings: { maxConcurrentStreams: 250, initialWindowSize: 4 << 20 },
    });
    await new Promise<void>((resolve, reject) => {
      http.once('error', reject);
      http.listen(0, '127.0.0.1', resolve);
    });
    const proxy = new ChaosProxy(options, http);
    http.on('sessionError', () => undefined);
    http.on('secureConnection', (socket: Socket) => socket.on('error', () => undefined));
    http.on('connection', (socket: Socket) => {
      proxy.#sockets.add(socket);
      socket.once('close', () => proxy.#sockets.delete(socket));
    });
    http.on('request', (incoming, outgoing) => void proxy.#serve(incoming, outgoing));
    return proxy;
  }

  /** The newest fault is asked first. Returns the way to remove it. */
  add(fault: Fault): () => void {
    this.#faults = [fault, ...this.#faults];
    return () => {
      this.#faults = this.#faults.filter((other) => other !== fault);
    };
  }

  clearFaults(): void {
    this.#faults = [];
  }

  get watches(): readonly WatchStream[] {
    return [...this.#watches];
  }

  /** Every connection is lost at once; the operator may come again. */
  disconnect(): void {
    for (const connection of [...this.#connections.keys()]) connection.destroy();
  }

  async stop(): Promise<void> {
    this.clearFaults();
    const closed = new Promise((resolve) => this.#http.close(resolve));
    this.disconnect();
    // Also those that never asked for anything: the server is closed when the last one is.
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #serve(incoming: Http2ServerRequest, outgoing: Http2ServerResponse): Promise<void> {
    const client = clientOf(incoming, outgoing, this.#connectionOf(incoming));
    try {
      const request = await this.#read(incoming);
      this.journal.request(request);
      const verdict = await judgeRequest(this.#faults, request);
      if (client.isGone()) return;
      if (verdict !== undefined && verdict.do !== 'send') {
        if (verdict.do === 'answer') client.answer(verdict.answer);
        else client.lose(verdict.do);
        return;
      }
      const upstream = this.#upstream(client.connection, verdict?.upstream ?? this.route(request));
      const { path = request.path, body = request.body, lines = [] } = verdict ?? {};
      await this.#forward({ ...request, path, body }, lines, upstream, client);
    } catch {
      // The API server is away or the connection broke: the operator sees the same.
      client.lose('disconnect');
    }
  }

  async #forward(
    request: ApiRequest,
    lines: readonly Buffer[],
    upstream: Upstream,
    client: Client,
  ): Promise<void> {
    const stream = upstream.request(
      { ...request.headers, ':method': request.method, ':path': request.path },
      request.body,
    );
    client.onGone(() => stream.close(constants.NGHTTP2_CANCEL));
    const { status, headers } = await new Promise<Omit<Answer, 'body'>>((resolve, reject) => {
      stream.once('response', (raw) => resolve({ status: raw[':status'] ?? 0, headers: plainHeaders(raw) }));
      stream.once('error', reject);
      stream.once('close', () => reject(new Error('no answer')));
    });
    stream.on('error', () => undefined);
    if (request.verb === 'watch' && status === 200) {
      client.begin({ status, headers });
      for (const line of lines) await client.write(line);
      await this.#stream(request, stream, client);
      return;
    }
    const answer = { status, headers, body: await readAll(stream) };
    this.journal.answer(request, answer);
    const verdict = await judgeAnswer(this.#faults, request, answer);
    if (verdict.do === 'truncate') client.truncate(answer, verdict.bytes);
    else if (verdict.do !== 'answer') client.lose(verdict.do);
    else {
      await client.answer(verdict.answer);
      for (const fault of this.#faults) fault.answered?.(request, answer);
    }
  }

  async #stream(request: ApiRequest, upstream: Readable, client: Client): Promise<void> {
    const splitter = new LineSplitter();
    let initial = new URL(request.path, this.server).searchParams.get('sendInitialEvents') === 'true';
    const watch: WatchStream = {
      request,
      send: (line) => void client.write(line),
      reset: () => client.lose('reset'),
      expire: () => {
        client.write(expired);
        client.end();
      },
    };
    this.#watches.add(watch);
    client.onGone(() => this.#watches.delete(watch));
    for await (const chunk of upstream as AsyncIterable<Buffer>)
      for (const line of splitter.push(chunk)) {
        const frame = readFrame(line, request.target, initial);
        if (frame.endsList) initial = false;
        const { lines, after } = await judgeFrame(this.#faults, frame, watch);
        if (client.isGone()) return;
        for (const out of lines) await client.write(out);
        if (lines.includes(line)) this.journal.event(frame);
        if (after === 'end') client.end();
        else if (after !== undefined) client.lose(after);
        if (after !== undefined) return;
      }
    client.end();
  }

  async #read(incoming: Http2ServerRequest): Promise<ApiRequest> {
    const body = await readAll(incoming);
    const headers = plainHeaders(incoming.headers);
    const { method, url: path } = incoming;
    const what = describeRequest(method, path, headers, body);
    return { id: this.#nextId++, atMs: performance.now(), method, path, headers, body, ...what };
  }

  #connectionOf(incoming: Http2ServerRequest): Connection {
    // Over HTTP/1.1 there is no stream, only the socket.
    const connection = (incoming.stream?.session as ServerHttp2Session | undefined) ?? incoming.socket;
    if (!this.#connections.has(connection)) {
      this.#connections.set(connection, {});
      connection.once('close', () => {
        for (const upstream of Object.values(this.#connections.get(connection) ?? {})) upstream.close();
        this.#connections.delete(connection);
      });
    }
    return connection;
  }

  #upstream(connection: Connection, name: UpstreamName): Upstream {
    const mine = this.#connections.get(connection);
    const address = this.#options.upstreams[name];
    if (!mine) throw new Error('the connection is closed');
    if (!address) throw new Error(`this proxy has no API server "${name}"`);
    mine[name] ??= new Upstream(address, () => {
      if ('goaway' in connection && !connection.destroyed) connection.close();
    });
    return mine[name];
  }
}

/** The operator's end of one request. */
interface Client {
  readonly connection: Connection;
  isGone(): boolean;
  onGone(listener: () => void): void;
  begin(head: Omit<Answer, 'body'>): void;
  /** Resolves when the operator has room for more. */
  write(data: Buffer): Promise<void>;
  end(): void;
  answer(answer: Answer): Promise<void>;
  truncate(answer: Answer, bytes: number): void;
  lose(how: 'reset' | 'disconnect' | 'swallow'): void;
}

function clientOf(
  incoming: Http2ServerRequest,
  outgoing: Http2ServerResponse,
  connection: Connection,
): Client {
  let gone = false;
  outgoing.on('error', () => undefined);
  outgoing.once('close', () => {
    gone = true;
  });
  const begin: Client['begin'] = ({ status, headers }) => void outgoing.writeHead(status, { ...headers });
  const lose: Client['lose'] = (how) => {
    if (how === 'swallow' || gone) return;
    if (how === 'reset' && incoming.stream) incoming.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    else connection.destroy();
  };
  return {
    connection,
    isGone: () => gone,
    onGone: (listener) => (gone ? listener() : outgoing.once('close', listener)),
    begin,
    async write(data) {
      if (gone || outgoing.write(data)) return;
      await new Promise<void>((resolve) => {
        outgoing.once('drain', resolve);
        outgoing.once('close', resolve);
      });
    },
    end: () => void (gone || outgoing.end()),
    async answer(answer) {
      if (gone) return;
      begin(answer);
      await new Promise<void>((resolve) => {
        outgoing.once('close', resolve);
        outgoing.end(answer.body, resolve);
      });
    },
    truncate(answer, bytes) {
      if (gone) return;
      begin(answer);
      outgoing.write(answer.body.subarray(0, bytes), () => lose('reset'));
    },
    lose,
  };
}

function plainHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !name.startsWith(':') && !NOT_PASSED_ON.includes(name))
      plain[name] = String(value);
  return plain;
}

/** Not by iteration, which would close the stream that the answer still needs. */
function readAll(stream: Readable): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
      else reject(new Error(`a body is larger than ${MAX_BODY_BYTES} bytes`));
    });
    stream.once('end', () => resolve(Buffer.concat(chunks)));
    stream.once('error', reject);
    stream.once('close', () => reject(new Error('the stream was closed before its end')));
  });
}
