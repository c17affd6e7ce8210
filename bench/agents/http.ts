import { connect, type Socket } from 'node:net';
import { type AnswerEvents, ResponseParser } from './response-parser.ts';

export interface Target {
  host: string;
  port: number;
}
export interface Request {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  headers: Record<string, string>;
  body?: string;
}
export interface Answer {
  status: number;
  headers: ReadonlyMap<string, string>;
  body: string;
}

export const targetOf = (url: string): Target => {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
};

function requestText({ host, port }: Target, { method, path, headers, body }: Request): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  if (body !== undefined)
    lines.push(`content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`);
  return `${method} ${path} HTTP/1.1\r\nhost: ${host}:${port}\r\n${lines.join('')}\r\n${body ?? ''}`;
}

const CONNECT_TIMEOUT_MS = 10_000;

function open(target: Target, request: Request, events: AnswerEvents, lost: (error?: Error) => void): Socket {
  const socket = connect({ ...target, noDelay: true });
  const parser = new ResponseParser(events);
  const connecting = setTimeout(
    () => socket.destroy(new Error('no connection within the deadline')),
    CONNECT_TIMEOUT_MS,
  );
  let failed: Error | undefined;
  socket.once('connect', () => clearTimeout(connecting));
  socket.on('data', (chunk: Buffer) => {
    try {
      parser.push(chunk);
    } catch (error) {
      socket.destroy(error as Error);
    }
  });
  socket.once('error', (error) => {
    failed = error;
  });
  socket.once('close', () => {
    clearTimeout(connecting);
    lost(failed);
  });
  socket.write(requestText(target, request));
  return socket;
}

/** One request on a connection of its own, whose answer may take for ever. `lost` comes last, and once. */
export function openStream(
  target: Target,
  request: Request,
  events: AnswerEvents & { lost(error?: Error): void },
): { destroy(): void } {
  return open(target, request, events, (error) => events.lost(error));
}

/** One request at a time on a connection that stays; a lost one is opened again by the next request. */
export class KeptConnection {
  private readonly target: Target;
  private socket: Socket | undefined;
  private waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;
  private status = 0;
  private headers: ReadonlyMap<string, string> = new Map();
  private parts: Buffer[] = [];

  constructor(target: Target) {
    this.target = target;
  }

  /** Without a second try: whether a request may be repeated only its caller knows. */
  call(request: Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.waiting) throw new Error('one request at a time');
      this.waiting = { resolve, reject };
      if (this.socket) this.socket.write(requestText(this.target, request));
      else this.socket = this.open(request);
    });
  }

  close(): void {
    this.socket?.destroy();
    this.socket = undefined;
  }

  private open(request: Request): Socket {
    const socket = open(
      this.target,
      request,
      {
        head: (status, headers) => {
          this.status = status;
          this.headers = headers;
          this.parts = [];
        },
        body: (part) => void this.parts.push(Buffer.from(part)),
        end: () => this.answered(),
      },
      (error) => {
        if (this.socket === socket) this.socket = undefined;
        const { waiting } = this;
        this.waiting = undefined;
        waiting?.reject(error ?? new Error('the connection was closed before the answer'));
      },
    );
    return socket;
  }

  private answered(): void {
    const { waiting, status, headers } = this;
    this.waiting = undefined;
    if (headers.get('connection') === 'close') this.close();
    waiting?.resolve({ status, headers, body: Buffer.concat(this.parts).toString('utf8') });
  }
}
