import { isDeepStrictEqual } from 'node:util';
import type { Admin } from './admin.ts';
import { collectionPath, type Json, KINDS, type Kind, type KubeObject, objectKey, POD } from './kinds.ts';

export interface Change {
  readonly atMs: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly key: string;
  readonly uid: string;
  readonly object: KubeObject;
}

const RETRY_MS = 100;
const LOOK_EVERY_MS = 100;
const MAX_HISTORY = 500_000;

/** Sees the cluster as it is, past the proxy: every object of the kinds that matter, and each change of them. */
export class Observer {
  readonly history: Change[] = [];
  readonly #admin: Admin;
  readonly #objects = new Map<string, KubeObject>();
  readonly #waiting = new Set<() => void>();
  readonly #stopping = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  private constructor(admin: Admin) {
    this.#admin = admin;
  }

  static async start(admin: Admin): Promise<Observer> {
    const observer = new Observer(admin);
    const followed = [...KINDS, POD].map((kind) => observer.#follow(kind));
    observer.#running = Promise.all(followed.map(({ ended }) => ended));
    await Promise.all(followed.map(({ listed }) => listed));
    return observer;
  }

  get(key: string): Json | undefined {
    return this.#objects.get(key);
  }

  /** What lives in a namespace, pods left out. */
  inNamespace(namespace: string): [string, KubeObject][] {
    return [...this.#objects].filter(
      ([key, { metadata }]) => metadata.namespace === namespace && !key.startsWith('pods/'),
    );
  }

  keys(): string[] {
    return [...this.#objects.keys()];
  }

  /** Waits for a condition, which is looked at with every change. @throws with what it was that did not happen. */
  async until<T>(
    what: string,
    probe: () => T | undefined | false | Promise<T | undefined | false>,
    timeoutMs = 15_000,
  ): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const seen = await probe();
      if (seen) return seen;
      if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
      await this.#change();
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, LOOK_EVERY_MS);
      this.#waiting.add(wake);
    });
  }

  #follow(kind: Kind): { listed: Promise<void>; ended: Promise<void> } {
    const { promise: listed, resolve } = Promise.withResolvers<void>();
    return { listed, ended: this.#followOn(kind, resolve) };
  }

  async #followOn(kind: Kind, onListed: () => void): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        // Always from a new list: after a restore of etcd an old version would be waited for in silence.
        const from = await this.#list(kind);
        onListed();
        await this.#watch(kind, from);
      } catch {
        // The API server is away, as some tests want it.
      }
      if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async #list(kind: Kind): Promise<string> {
    const { status, body } = await this.#admin.call('GET', collectionPath(kind));
    if (status !== 200) throw new Error(`list of ${kind.resource}: ${status}`);
    const seen = new Set<string>();
    for (const item of body.items) {
      const object = { ...item, apiVersion: kind.apiVersion, kind: kind.kind };
      const key = objectKey(kind, item.metadata.namespace, item.metadata.name);
      const before = this.#objects.get(key);
      seen.add(key);
      if (before?.metadata.uid !== item.metadata.uid && before) this.#note(key, 'DELETED', before);
      if (before?.metadata.uid !== item.metadata.uid) this.#note(key, 'ADDED', object);
      // By content, as a restored etcd gives versions a second time.
      else if (!isDeepStrictEqual(before, object)) this.#note(key, 'MODIFIED', object);
    }
    const prefix = objectKey(kind, undefined, '');
    for (const [key, object] of this.#objects)
      if (key.startsWith(prefix) && !seen.has(key)) this.#note(key, 'DELETED', object);
    return body.metadata.resourceVersion;
  }

  async #watch(kind: Kind, from: string): Promise<void> {
    const path = `${collectionPath(kind)}?watch=true&resourceVersion=${from}`;
    const onEvent = ({ type, object }: Json): void => {
      if (['ADDED', 'MODIFIED', 'DELETED'].includes(type))
        this.#note(objectKey(kind, object.metadata.namespace, object.metadata.name), type, object);
    };
    await this.#admin.watch(path, onEvent, this.#stopping.signal);
  }

  #note(key: string, type: Change['type'], object: KubeObject): void {
    if (type === 'DELETED') this.#objects.delete(key);
    else this.#objects.set(key, object);
    if (this.history.length < MAX_HISTORY)
      this.history.push({ atMs: performance.now(), type, key, uid: object.metadata.uid, object });
    for (const wake of this.#waiting) wake();
  }
}
