import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync } from 'node:fs';
import {
  type ClientHttp2Session,
  connect,
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Stream,
} from 'node:http2';
import { get } from 'node:https';
import { type AddressInfo, createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { openCertificateAuthority } from '@felucca/dev';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { Fault } from './fault.ts';
import { ChaosProxy } from './proxy.ts';

const folder = mkdtempSync(join(tmpdir(), 'felucca-proxy-'));
const LIST = '/api/v1/pods?watch=true';
let identity: { certPem: string; keyPem: string };
let caPem: string;
let a: ApiServer;
let b: ApiServer;
let proxy: ChaosProxy;

/** Answers with what it was asked; its watches say what the test lets them say. */
class ApiServer {
  readonly asked: string[] = [];
  readonly watches: ServerHttp2Stream[] = [];
  #http: Http2SecureServer | undefined;

  async start(name: string): Promise<{ server: string; caPem: string }> {
    this.#http = createSecureServer({ cert: identity.certPem, key: identity.keyPem });
    this.#http.on('stream', (stream: ServerHttp2Stream, { ':path': path, ':method': method }) => {
      this.asked.push(`${method} ${path}`);
      stream.on('error', () => undefined);
      stream.respond({ ':status': 200, 'content-type': 'application/json' });
      if (path === LIST) this.watches.push(stream);
      else stream.end(JSON.stringify({ server: name, path }));
    });
    const http = this.#http;
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    return { server: `https://127.0.0.1:${(http.address() as AddressInfo).port}`, caPem };
  }

  /** One event of every open watch. */
  tell(type: string, name: string, resourceVersion: string): void {
    const line = JSON.stringify({ type, object: { metadata: { name, namespace: 'n', resourceVersion } } });
    for (const stream of this.watches) stream.write(`${line}\n`);
  }

  stop(): void {
    this.#http?.close();
    for (const stream of this.watches) stream.session?.destroy();
  }
}

beforeAll(async () => {
  const authority = await openCertificateAuthority(folder);
  identity = await authority.issue({ name: 'server', commonName: 'server', hosts: ['127.0.0.1'] });
  caPem = authority.certPem;
  a = new ApiServer();
  b = new ApiServer();
  const upstreams = { a: await a.start('a'), b: await b.start('b') };
  proxy = await ChaosProxy.start({ ...identity, upstreams });
});
afterEach(() => {
  proxy.clearFaults();
  proxy.journal.clear();
  a.watches.length = 0;
});
afterAll(async () => {
  await proxy.stop();
  a.stop();
  b.stop();
  rmSync(folder, { recursive: true });
});

interface Reply {
  text: string;
  /** Undefined while it goes on. */
  ended?: 'end' | 'reset';
}

function session(): ClientHttp2Session {
  const opened = connect(proxy.server, { ca: caPem });
  opened.on('error', () => undefined);
  onTestFinished(() => opened.destroy());
  return opened;
}

function ask(from: ClientHttp2Session, path: string, method = 'GET'): Reply {
  const reply: Reply = { text: '' };
  const stream = from.request({ ':method': method, ':path': path }, { endStream: true });
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    reply.text += chunk;
  });
  stream.on('end', () => {
    reply.ended ??= 'end';
  });
  stream.on('error', () => {
    reply.ended = 'reset';
  });
  stream.on('close', () => {
    if (stream.rstCode !== 0) reply.ended = 'reset';
    reply.ended ??= 'reset';
  });
  return reply;
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('it did not happen');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const versionsIn = ({ text }: Reply): string[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line).object.metadata?.resourceVersion);

async function watching(fault: Fault): Promise<Reply> {
  // Those of the test before end with its connections, a moment later.
  await until(() => proxy.watches.length === 0);
  proxy.add(fault);
  const reply = ask(session(), LIST);
  await until(() => a.watches.length === 1 && proxy.watches.length === 1);
  return reply;
}

test('a request goes to the API server that the route names', async () => {
  onTestFinished(() => {
    proxy.route = () => 'a';
  });
  proxy.route = ({ verb }) => (verb === 'get' ? 'a' : 'b');
  const from = session();
  const [got, listed] = [ask(from, '/api/v1/nodes/n'), ask(from, '/api/v1/nodes')];
  await until(() => got.ended === 'end' && listed.ended === 'end');
  expect([JSON.parse(got.text).server, JSON.parse(listed.text).server]).toEqual(['a', 'b']);
});

test('HTTP/1.1 is spoken with whoever asks for it', async () => {
  const text = await new Promise<string>((resolve, reject) => {
    get(`${proxy.server}/api/v1/nodes/n`, { ca: caPem }, (response) => {
      expect(response.httpVersion).toBe('1.1');
      response.on('data', (chunk: Buffer) => resolve(String(chunk)));
    }).on('error', reject);
  });
  expect(JSON.parse(text).path).toBe('/api/v1/nodes/n');
});

test('a held request has not left, and leaves when it is released', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<undefined>();
  proxy.add({ request: () => released });
  const reply = ask(session(), '/api/v1/nodes/held');
  await until(() => proxy.journal.requests === 1);
  expect(a.asked).not.toContain('GET /api/v1/nodes/held');
  release(undefined);
  await until(() => reply.ended === 'end');
  expect(a.asked).toContain('GET /api/v1/nodes/held');
});

test('a lost answer is a request that the API server has seen', async () => {
  proxy.add({ answer: () => ({ do: 'reset' }) });
  const reply = ask(session(), '/api/v1/nodes/lost', 'DELETE');
  await until(() => reply.ended !== undefined);
  expect(reply).toEqual({ text: '', ended: 'reset' });
  expect(a.asked).toContain('DELETE /api/v1/nodes/lost');
  expect(proxy.journal.writes).toMatchObject([{ verb: 'delete', key: 'nodes/lost', status: 200 }]);
});

test('an answer can be made up, cut short, or never come', async () => {
  const answer = { status: 429, headers: { 'retry-after': '1' }, body: Buffer.from('later') };
  proxy.add({ request: ({ key }) => (key === 'nodes/made-up' ? { do: 'answer', answer } : undefined) });
  proxy.add({ answer: ({ key }) => (key === 'nodes/short' ? { do: 'truncate', bytes: 4 } : undefined) });
  proxy.add({ request: ({ key }) => (key === 'nodes/never' ? { do: 'swallow' } : undefined) });
  const from = session();
  const [madeUp, short, never] = ['made-up', 'short', 'never'].map((name) =>
    ask(from, `/api/v1/nodes/${name}`),
  );
  await until(() => madeUp!.ended === 'end' && short!.ended === 'reset');
  expect([madeUp!.text, short!.text, never!.ended]).toEqual(['later', '{"se', undefined]);
  expect(a.asked.filter((line) => line.includes('never') || line.includes('made-up'))).toEqual([]);
});

test('a disconnect takes every request of the connection with it, and leaves other connections alone', async () => {
  proxy.add({ request: ({ key }) => (key === 'nodes/fatal' ? { do: 'disconnect' } : undefined) });
  const [dying, other] = [session(), session()];
  const [watch, spared] = [ask(dying, LIST), ask(other, LIST)];
  await until(() => a.watches.length === 2);
  const fatal = ask(dying, '/api/v1/nodes/fatal');
  await until(() => watch.ended !== undefined && fatal.ended !== undefined);
  expect(spared.ended).toBeUndefined();
  await until(() => a.watches.filter((stream) => stream.destroyed).length === 1);
});

test('single events are suppressed, repeated and replaced', async () => {
  const reply = await watching({
    frame: ({ resourceVersion, line }) => {
      if (resourceVersion === '2') return { lines: [] };
      return resourceVersion === '3' ? { lines: [line, line] } : undefined;
    },
  });
  for (const version of ['1', '2', '3', '4']) a.tell('MODIFIED', 'p', version);
  await until(() => versionsIn(reply).includes('4'));
  expect(versionsIn(reply)).toEqual(['1', '3', '3', '4']);
  expect(proxy.journal.events.map(({ resourceVersion }) => resourceVersion)).toEqual(['1', '3', '4']);
});

test('a held event holds what comes after it on the same watch only', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<undefined>();
  const reply = await watching({
    frame: ({ resourceVersion }, { request }) =>
      resourceVersion === '2' && request.id === heldId ? released : undefined,
  });
  const heldId = proxy.watches[0]?.request.id;
  const free = ask(session(), LIST);
  await until(() => a.watches.length === 2);
  for (const version of ['1', '2', '3']) a.tell('MODIFIED', 'p', version);
  await until(() => versionsIn(free).length === 3);
  expect(versionsIn(reply)).toEqual(['1']);
  release(undefined);
  await until(() => versionsIn(reply).length === 3);
});

test('a watch is reset, expired, or told what the API server never said', async () => {
  const reply = await watching({});
  const [watch] = proxy.watches;
  watch?.send(Buffer.from('{"type":"ADDED","object":{"metadata":{"resourceVersion":"old"}}}\n'));
  await until(() => versionsIn(reply).includes('old'));
  watch?.expire();
  await until(() => reply.ended === 'end');
  expect(reply.text).toContain('"code":410');
  const second = ask(session(), LIST);
  await until(() => proxy.watches.length === 1);
  proxy.watches[0]?.reset();
  await until(() => second.ended === 'reset');
  await until(() => proxy.watches.length === 0);
});

test.each([
  ['has not even greeted', (port: number) => createConnection(port, '127.0.0.1')],
  [
    'asks for nothing',
    (port: number) => connectTls({ port, host: '127.0.0.1', ca: caPem, ALPNProtocols: ['h2'] }),
  ],
])('it ends although somebody is connected who %s', async (_, connected) => {
  const other = await ChaosProxy.start({
    ...identity,
    upstreams: { a: { server: 'https://127.0.0.1:1', caPem } },
  });
  const socket = connected(Number(new URL(other.server).port)).on('error', () => undefined);
  await new Promise((resolve) =>
    socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', resolve),
  );
  await other.stop();
});
