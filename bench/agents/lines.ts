import { type Answer, KeptConnection, type Request, type Target, targetOf } from './http.ts';

/** Connections that stay, to those processes of the control plane that are ready: what a load balancer gives its clients. */
export class Lines {
  private urls: readonly string[] = [];
  private readonly free = new Map<string, KeptConnection[]>();
  private readonly max: number;
  private busy = 0;
  private turn = 0;
  private readonly waiting: (() => void)[] = [];

  /** @param max requests at once; more wait in order */
  constructor(max: number) {
    this.max = max;
  }

  /** Whoever is not named gets no new request; those under way are answered. */
  aim(urls: readonly string[]): void {
    this.urls = urls;
    for (const [url, connections] of this.free)
      if (!urls.includes(url)) for (const connection of connections.splice(0)) connection.close();
  }

  /** By turns. */
  target(): Target | undefined {
    const url = this.nextUrl();
    return url === undefined ? undefined : targetOf(url);
  }

  /** @param request made when it is its turn: a credential is good for a minute only */
  async call(request: () => Request): Promise<Answer> {
    if (this.busy >= this.max) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.busy += 1;
    try {
      return await this.callNow(request());
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.busy -= 1;
    }
  }

  close(): void {
    this.aim([]);
  }

  private async callNow(request: Request): Promise<Answer> {
    const url = this.nextUrl();
    if (url === undefined) throw new Error('no process of the control plane is ready');
    const connections = this.free.get(url) ?? [];
    this.free.set(url, connections);
    const connection = connections.pop() ?? new KeptConnection(targetOf(url));
    const answer = await connection.call(request);
    if (this.urls.includes(url)) connections.push(connection);
    else connection.close();
    return answer;
  }

  private nextUrl(): string | undefined {
    this.turn = (this.turn + 1) % Math.max(1, this.urls.length);
    return this.urls[this.turn];
  }
}
