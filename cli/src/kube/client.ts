import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { KubeObject, LiveObject } from '@felucca/contract';
import { Failure } from '../failure.ts';
import type { Connection } from './connection.ts';
import { KubeError } from './errors.ts';
import { pathOf, resource } from './resources.ts';

export interface Selection {
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
}

const TIMEOUT_MS = 20_000;
const MAX_BYTES = 64 << 20;
const PAGE = 500;
/** More objects of one kind are no answer that a person reads. */
const MAX_OBJECTS = 20_000;
/** Metadata only: where a Secret's values are not needed, they do not leave the API server. */
const METADATA_ONLY = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';

/** The calls of one command. All reject with `KubeError`. */
export class Kube {
  readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Undefined when there is none. */
  async get<T extends KubeObject = LiveObject>(
    kind: string,
    namespace: string | undefined,
    name: string,
    options: { metadataOnly?: boolean } = {},
  ): Promise<T | undefined> {
    const of = resource(kind);
    try {
      const accept = options.metadataOnly ? METADATA_ONLY : 'application/json';
      const object = await this.#json<T>('GET', pathOf(of, namespace, name), { accept });
      return { ...object, apiVersion: of.apiVersion, kind };
    } catch (error) {
      if (error instanceof KubeError && error.isMissingObject) return undefined;
      throw error;
    }
  }

  /** `namespace` undefined: all namespaces. */
  async list<T extends KubeObject = LiveObject>(
    kind: string,
    namespace: string | undefined,
    { labelSelector, fieldSelector }: Selection = {},
  ): Promise<T[]> {
    const of = resource(kind);
    const items: T[] = [];
    let token: string | undefined;
    do {
      const query = new URLSearchParams({ limit: String(PAGE) });
      if (labelSelector) query.set('labelSelector', labelSelector);
      if (fieldSelector) query.set('fieldSelector', fieldSelector);
      if (token) query.set('continue', token);
      const page = await this.#json<{ items: T[]; metadata: { continue?: string } }>(
        'GET',
        `${pathOf(of, namespace)}?${query}`,
      );
      for (const item of page.items) items.push({ ...item, apiVersion: of.apiVersion, kind });
      token = page.metadata.continue || undefined;
      if (token && items.length >= MAX_OBJECTS)
        throw new Failure(`there are more than ${MAX_OBJECTS} ${of.plural}`, 'narrow it with -n or -l');
    } while (token);
    return items;
  }

  /** JSON merge patch; a uid in the metadata is a precondition. */
  patch<T extends KubeObject = LiveObject>(
    kind: string,
    namespace: string | undefined,
    name: string,
    patch: Record<string, unknown>,
  ): Promise<T> {
    return this.#json<T>('PATCH', `${pathOf(resource(kind), namespace, name)}?fieldManager=felucca-cli`, {
      contentType: 'application/merge-patch+json',
      body: patch,
    });
  }

  /** The last lines of a container's log. */
  log(namespace: string, pod: string, container: string, lines: number, bytes: number): Promise<string> {
    const query = new URLSearchParams({
      container,
      tailLines: String(lines),
      limitBytes: String(bytes),
      timestamps: 'true',
    });
    return this.#text('GET', `${pathOf(resource('Pod'), namespace, pod)}/log?${query}`, { accept: '*/*' });
  }

  serverVersion(): Promise<{ gitVersion: string }> {
    return this.#json('GET', '/version');
  }

  close(): void {
    const agent = this.connection.options.agent;
    if (typeof agent === 'object') agent.destroy();
  }

  async #json<T>(method: string, path: string, how: Sending = {}): Promise<T> {
    const text = await this.#text(method, path, how);
    try {
      return JSON.parse(text) as T;
    } catch {
      // Such as the page on which a proxy wants somebody to log in.
      throw new KubeError(200, `${method} ${path}`, `the answer is no JSON: ${text.trim().slice(0, 80)}`);
    }
  }

  async #text(method: string, path: string, how: Sending): Promise<string> {
    const { server, options } = this.connection;
    const body = how.body === undefined ? undefined : JSON.stringify(how.body);
    const url = new URL(`${server.pathname.replace(/\/+$/, '')}${path}`, server);
    const headers = {
      ...options.headers,
      accept: how.accept ?? 'application/json',
      'user-agent': 'felucca-cli',
      ...(body === undefined
        ? {}
        : { 'content-type': how.contentType, 'content-length': Buffer.byteLength(body) }),
    };
    const send = url.protocol === 'http:' ? httpRequest : httpsRequest;
    const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
      const outgoing = send(url, { ...options, method, headers, timeout: TIMEOUT_MS }, (incoming) => {
        readBody(incoming).then((read) => resolve({ status: incoming.statusCode ?? 0, text: read }), reject);
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
      outgoing.on('error', reject);
      outgoing.end(body);
    }).catch((error: Error) => {
      throw new KubeError(0, `${method} ${path}`, error.message);
    });
    if (status >= 200 && status < 300) return text;
    throw KubeError.of(status, `${method} ${path}`, text);
  }
}

interface Sending {
  accept?: string;
  contentType?: string;
  body?: unknown;
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES)
      throw new Error(`the answer is larger than ${MAX_BYTES} bytes; narrow it with -n or -l`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
