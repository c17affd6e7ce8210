import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A network that can keep requests on their way while the answers to earlier ones still arrive. */
export interface HoldingProxy {
  readonly url: string;
  /** Bytes of requests that are on their way. */
  readonly heldBytes: number;
  hold(): void;
  /** What was held arrives now, also of a client that is gone. */
  deliver(): void;
  stop(): Promise<void>;
}

export async function startHoldingProxy(server: string): Promise<HoldingProxy> {
  const target = new URL(server);
  const sockets = new Set<Socket>();
  let held: { upstream: Socket; chunk: Buffer }[] = [];
  let holding = false;
  const proxy = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    client.on('data', (chunk: Buffer) => {
      if (holding) held.push({ upstream, chunk });
      else upstream.write(chunk);
    });
    client.on('close', () => {
      if (!holding) upstream.destroy();
    });
    upstream.on('data', (chunk) => client.write(chunk));
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    url: `https://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    get heldBytes() {
      return held.reduce((sum, { chunk }) => sum + chunk.length, 0);
    },
    hold() {
      holding = true;
    },
    deliver() {
      holding = false;
      for (const { upstream, chunk } of held) upstream.write(chunk);
      held = [];
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}
