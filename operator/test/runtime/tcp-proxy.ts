import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Sits between a client and the API server, and breaks the network in between on demand. */
export class TcpProxy {
  readonly #server: Server;
  readonly #pairs = new Set<[Socket, Socket]>();
  #frozen = false;
  #refusing = false;
  #answersLateMs = 0;
  accepted = 0;

  private constructor(target: URL) {
    this.#server = createServer((client) => {
      if (this.#refusing) {
        client.destroy();
        return;
      }
      this.accepted++;
      const upstream = connect(Number(target.port), target.hostname);
      const pair: [Socket, Socket] = [client, upstream];
      this.#pairs.add(pair);
      const forward = (from: Socket, to: Socket, lateMs: () => number): void => {
        from.on('data', (chunk) => {
          // Lost, not delayed: what a dropped route does.
          if (this.#frozen) return;
          if (lateMs() > 0) setTimeout(() => to.write(chunk), lateMs());
          else to.write(chunk);
        });
        from.on('error', () => to.destroy());
        from.on('close', () => {
          to.destroy();
          this.#pairs.delete(pair);
        });
      };
      forward(client, upstream, () => 0);
      forward(upstream, client, () => this.#answersLateMs);
    });
  }

  static async start(server: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(new URL(server));
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  get open(): number {
    return this.#pairs.size;
  }

  /** Every connection breaks; new ones work. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }
  /** Connections stay open and nothing gets through, also not on new ones. */
  freeze(): void {
    this.#frozen = true;
  }
  thaw(): void {
    this.#frozen = false;
  }
  /** Requests get through at once, their answers this much later. */
  delayAnswers(ms: number): void {
    this.#answersLateMs = ms;
  }
  refuse(refusing: boolean): void {
    this.#refusing = refusing;
    if (refusing) this.cut();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
