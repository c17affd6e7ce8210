import type { ClientRequest } from 'node:http';
import { request } from 'node:https';
import { FEED_KINDS, type FeedKind, RESOURCES } from '@felucca/contract';
import { kubeApi } from '@felucca/dev';
import type { LiveObject, ObjectRef } from '../../src/sync/cluster.ts';
import type { KubeTransport } from '../../src/sync/kube-cluster.ts';
import type { KindWatch, Watches, WatchListener } from '../../src/sync/watches.ts';
import { eventually } from './eventually.ts';

export interface Endpoint {
  server: string;
  caPem: string;
  token: string;
}

/** Counts writes, so that a test can say "zero". */
export interface TestTransport {
  send: KubeTransport;
  writes: string[];
  /** Answers of these requests arrive this late, ms: watch events overtake them. */
  delayMs: (method: string, path: string) => number;
  /** These requests are not sent: a status answers for the API server, 0 is no answer. */
  failWith: (method: string, path: string) => number | undefined;
  /** How many were not sent. */
  refused: number;
  close(): void;
}

export function testTransport({ server, caPem, token }: Endpoint): TestTransport {
  const api = kubeApi(server, caPem, token);
  const writes: string[] = [];
  const send: KubeTransport = async (request) => {
    const failure = transport.failWith(request.method, request.path);
    if (failure !== undefined) {
      transport.refused += 1;
      if (failure === 0) throw new Error('no answer');
      return { status: failure, body: { message: `injected ${failure}` } };
    }
    const answer = await exchange(request);
    const delayMs = transport.delayMs(request.method, request.path);
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    return answer;
  };
  const transport: TestTransport = {
    send,
    writes,
    delayMs: () => 0,
    failWith: () => undefined,
    refused: 0,
    close: () => api.close(),
  };
  const exchange: KubeTransport = async ({ method, path, contentType, body }) => {
    if (method !== 'GET') writes.push(`${method} ${path.split('?')[0]}`);
    const answer = await api.call(method, path, body, contentType);
    return { status: answer.status, body: answer.body === '' ? undefined : JSON.parse(answer.body) };
  };
  return transport;
}

export interface TestWatches {
  watches: Watches;
  /** Until `release()` the caches learn nothing, like a watch in its backoff. */
  hold(): void;
  release(): void;
  stop(): void;
}

class EventGate {
  private waiting: (() => void)[] | undefined;

  pass(event: () => void): void {
    if (this.waiting) this.waiting.push(event);
    else event();
  }
  hold(): void {
    this.waiting ??= [];
  }
  release(): void {
    const { waiting = [] } = this;
    this.waiting = undefined;
    for (const event of waiting) event();
  }
}

/** A list and one watch per kind: enough for a test with one API server that stays. */
export async function testWatches(endpoint: Endpoint, transport: KubeTransport): Promise<TestWatches> {
  const gate = new EventGate();
  const stops: (() => void)[] = [];
  const entries: [FeedKind, KindWatch][] = [];
  for (const kind of FEED_KINDS) {
    const watch = await watchKind(
      endpoint,
      transport,
      `/apis/felucca.dev/v1alpha1/${RESOURCES[kind].plural}`,
      gate,
    );
    entries.push([kind, watch]);
    stops.push(watch.stop);
  }
  return {
    watches: Object.fromEntries(entries) as Watches,
    hold: () => gate.hold(),
    release: () => gate.release(),
    stop: () => {
      for (const stop of stops) stop();
    },
  };
}

interface WatchEvent {
  type: string;
  object: LiveObject;
}

async function watchKind(
  endpoint: Endpoint,
  transport: KubeTransport,
  path: string,
  gate: EventGate,
): Promise<KindWatch & { stop(): void }> {
  const objects = new Map<string, LiveObject>();
  const listeners = new Set<WatchListener>();
  const nameOf = ({ name, namespace }: ObjectRef): string => `${namespace ?? ''}/${name}`;
  // A CRD is established a moment before it is served.
  const list = () =>
    eventually(`${path} is served`, async () => {
      const { status, body } = await transport({ method: 'GET', path });
      return status === 200 && (body as { items: LiveObject[]; metadata: { resourceVersion: string } });
    });
  const onEvent = ({ type, object }: WatchEvent): void => {
    const name = nameOf(object.metadata);
    const before = objects.get(name);
    if (type === 'DELETED') objects.delete(name);
    else objects.set(name, object);
    for (const listener of listeners)
      if (type === 'DELETED') listener.removed(object);
      else listener.upserted(object, before);
  };
  let stream: ClientRequest;
  let stopped = false;
  const follow = (version: string): void => {
    stream = request(
      new URL(`${path}?watch=1&resourceVersion=${version}`, endpoint.server),
      { ca: endpoint.caPem, headers: { authorization: `Bearer ${endpoint.token}` } },
      (incoming) => {
        let text = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => {
          text += chunk;
          const lines = text.split('\n');
          text = lines.pop() ?? '';
          for (const line of lines) gate.pass(() => onEvent(JSON.parse(line)));
        });
        incoming.on('error', () => {});
        incoming.on('close', () => void goOn());
      },
    );
    stream.on('error', () => {});
    stream.end();
  };
  /** An API server ends each watch after half an hour to an hour: what happened since is in a list. */
  const goOn = async (): Promise<void> => {
    if (stopped) return;
    const { items, metadata } = await list();
    gate.pass(() => {
      const here = new Set(items.map((object) => nameOf(object.metadata)));
      for (const [name, object] of objects) if (!here.has(name)) onEvent({ type: 'DELETED', object });
      for (const object of items)
        if (
          objects.get(nameOf(object.metadata))?.metadata.resourceVersion !== object.metadata.resourceVersion
        )
          onEvent({ type: 'MODIFIED', object });
    });
    if (!stopped) follow(metadata.resourceVersion);
  };
  const listed = await list();
  for (const object of listed.items) objects.set(nameOf(object.metadata), object);
  follow(listed.metadata.resourceVersion);
  return {
    all: () => [...objects.values()],
    get: (ref) => objects.get(nameOf(ref)),
    listen: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    listedSince: async () => {
      const { body } = await transport({ method: 'GET', path });
      objects.clear();
      for (const object of (body as { items: LiveObject[] }).items)
        objects.set(nameOf(object.metadata), object);
    },
    stop: () => {
      stopped = true;
      stream.destroy();
    },
  };
}
