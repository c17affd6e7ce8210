import { Agent, type RequestOptions, request } from 'node:https';

export interface KubeResponse {
  readonly status: number;
  readonly body: string;
}

/** The few API calls that the stack, tests and benchmarks make, as cluster admin. Not the operator's transport. */
export interface KubeApi {
  /** Any status is an answer; @throws only when there is none. `contentType` of the body; default JSON. */
  call(method: string, path: string, body?: unknown, contentType?: string): Promise<KubeResponse>;
  get<T>(path: string): Promise<T>;
  /** Creates; an object that exists already is left as it is. */
  create(path: string, object: unknown): Promise<void>;
  /** Removes; an object that is already gone is fine. */
  remove(path: string): Promise<void>;
  /** Streams watch events until the server ends the stream, the signal aborts, or 5 minutes have passed. */
  watch(path: string, onEvent: (event: WatchEvent) => void, signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface WatchEvent {
  readonly type: string;
  readonly object: unknown;
}

const callTimeoutMs = 30_000;
const watchLimitMs = 300_000;

export function kubeApi(server: string, caPem: string, token: string): KubeApi {
  const agent = new Agent({ keepAlive: true, ca: caPem });
  const base = new URL(server);
  const options = (method: string, path: string) => ({
    agent,
    method,
    host: base.hostname,
    port: base.port,
    path,
    headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
  });

  const call = (method: string, path: string, body?: unknown, contentType = 'application/json') =>
    new Promise<KubeResponse>((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const sent = options(method, path);
      const headers = {
        ...sent.headers,
        // Without a length Node sends the body of a DELETE unframed, and the next request on the socket is lost.
        ...(text === undefined
          ? {}
          : { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }),
      };
      const outgoing = request({ ...sent, headers, timeout: callTimeoutMs }, (incoming) => {
        let answer = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => {
          answer += chunk;
        });
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, body: answer }));
        incoming.on('error', reject);
      });
      outgoing.on('timeout', () =>
        outgoing.destroy(new Error(`${method} ${path} took over ${callTimeoutMs} ms`)),
      );
      outgoing.on('error', reject);
      outgoing.end(text);
    });

  const expect = async (method: string, path: string, body: unknown, ...accepted: number[]) => {
    const response = await call(method, path, body);
    if ((response.status >= 200 && response.status < 300) || accepted.includes(response.status))
      return response;
    throw new Error(`${method} ${path} answered ${response.status}: ${response.body.slice(0, 500)}`);
  };

  return {
    call,
    get: async <T>(path: string) => JSON.parse((await expect('GET', path, undefined)).body) as T,
    create: async (path, object) => void (await expect('POST', path, object, 409)),
    remove: async (path) => void (await expect('DELETE', path, undefined, 404)),
    watch: (path, onEvent, signal) => watchOnce(options('GET', path), onEvent, signal),
    close: () => agent.destroy(),
  };
}

function watchOnce(
  options: RequestOptions,
  onEvent: (event: WatchEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...options, signal }, (incoming) => {
      let pending = '';
      const limit = setTimeout(() => outgoing.destroy(), watchLimitMs);
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => {
        // A refusal is no event.
        if (incoming.statusCode !== 200) return;
        const lines = (pending + chunk).split('\n');
        pending = lines.pop() ?? '';
        for (const line of lines) if (line !== '') onEvent(JSON.parse(line) as WatchEvent);
      });
      incoming.on('close', () => {
        clearTimeout(limit);
        resolve();
      });
      incoming.on('error', () => {
        // 'close' follows; the caller lists again in any case.
      });
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}
