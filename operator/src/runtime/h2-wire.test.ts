import { once } from 'node:events';
import {
  constants,
  createServer as createH2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { type H2Options, H2Wire } from './h2-wire.ts';
import type { WireResponse } from './wire.ts';

const listening = async (server: Server): Promise<number> => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
};

/** A wire to a server that begins each answer and ends it when it is told to, and a way between them that can be lost. */
async function wired(options: H2Options) {
  const streams: ServerHttp2Stream[] = [];
  let session: ServerHttp2Session | undefined;
  let isLost = false;
  const server = createH2Server();
  server.on('session', (one) => (session = one));
  server.on('stream', (stream: ServerHttp2Stream) => {
    streams.push(stream);
    stream.on('error', () => undefined);
    stream.respond({ ':status': 200 });
    stream.write('begun');
  });
  const port = await listening(server);
  const way = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('data', (chunk) => isLost || to.write(chunk));
      from.on('error', () => undefined);
      from.on('close', () => isLost || to.destroy());
    }
    onTestFinished(() => void [client, upstream].map((socket) => socket.destroy()));
  });
  const socket = connect(await listening(way), '127.0.0.1');
  await once(socket, 'connect');
  const wire = new H2Wire(new URL('http://127.0.0.1'), socket, options);
  onTestFinished(() => {
    wire.destroy();
    socket.destroy();
  });
  return {
    wire,
    streams,
    open: (): Promise<WireResponse> =>
      wire.open({ method: 'GET', path: '/', headers: {}, body: undefined }, new AbortController().signal),
    async goAway(): Promise<void> {
      session!.goaway(constants.NGHTTP2_NO_ERROR);
      while (wire.usable) await new Promise((resolve) => setImmediate(resolve));
    },
    loseTheWay: () => {
      isLost = true;
    },
  };
}

test('after GOAWAY a watch ends as watches do, within its time, although the server is heard no more', async () => {
  const { open, goAway, loseTheWay } = await wired({ drainMs: 400 });
  const watches = await Promise.all([open(), open()]);
  await goAway();
  loseTheWay();
  const startedMs = performance.now();
  const told = await Promise.all(watches.map(({ body }) => text(body)));
  expect(told).toEqual(['begun', 'begun']);
  const tookMs = performance.now() - startedMs;
  // Never at once: a watch that has only just begun would look like one that does not work.
  expect(tookMs).toBeGreaterThanOrEqual(190);
  expect(tookMs).toBeLessThan(1_000);
});

test('a connection that is retired ends its watches, too', async () => {
  const { wire, open } = await wired({ drainMs: 50 });
  const watch = await open();
  wire.drain();
  expect(await text(watch.body)).toBe('begun');
});

test('after GOAWAY a request gets its whole answer', async () => {
  const { open, goAway, streams } = await wired({});
  const { body } = await open();
  await goAway();
  const whole = text(body);
  await new Promise((resolve) => setTimeout(resolve, 200));
  streams[0]!.end(' and done');
  expect(await whole).toBe('begun and done');
});
