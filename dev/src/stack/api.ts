import { setTimeout as delay } from 'node:timers/promises';

// biome-ignore lint/suspicious/noExplicitAny: a local tool reads a few fields of the API's answers
export type Json = any;

const callTimeoutMs = 30_000;

/** The API as the stack itself uses it: with the platform's key, over plain HTTP. */
export class Api {
  readonly url: string;
  readonly #key: string;

  constructor(url: string, key: string) {
    this.url = url;
    this.#key = key;
  }

  async call(method: string, path: string, body?: unknown): Promise<{ status: number; body: Json }> {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.#key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(callTimeoutMs),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  }

  /** @throws with what the API said */
  async ok(method: string, path: string, body?: unknown): Promise<Json> {
    const reply = await this.call(method, path, body);
    if (reply.status < 300) return reply.body;
    throw new Error(`${method} ${path}: ${reply.status} ${reply.body?.detail ?? JSON.stringify(reply.body)}`);
  }

  /** Undefined when it does not exist. */
  async find(path: string): Promise<Json | undefined> {
    const reply = await this.call('GET', path);
    if (reply.status === 404) return undefined;
    if (reply.status < 300) return reply.body;
    throw new Error(`GET ${path}: ${reply.status} ${reply.body?.detail ?? ''}`);
  }

  async readyWithin(timeoutMs: number, stillRunning: () => boolean): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (performance.now() < deadline && stillRunning()) {
      const status = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(2_000) }).then(
        async (response) => {
          await response.arrayBuffer();
          return response.status;
        },
        () => 0,
      );
      if (status === 200) return true;
      await delay(50);
    }
    return false;
  }
}
