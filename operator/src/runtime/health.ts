import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

/** Undefined: well. A text: what is wrong, for the person who reads the probe's answer. */
export type HealthCheck = () => string | undefined | Promise<string | undefined>;

export interface HealthOptions {
  host: string;
  /** 0: any free port. */
  port: number;
  /** Absent: this server has no /metrics. */
  registry?: Registry;
  /** Failing restarts the container: only what a restart would cure. */
  live?: Record<string, HealthCheck>;
  ready?: Record<string, HealthCheck>;
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/** /healthz, /readyz (each with its checks, one per line) and /metrics. */
export async function serveHealth(options: HealthOptions): Promise<HealthServer> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    const path = request.url?.split('?')[0] ?? '/';
    answer(options, path)
      .catch((error: unknown): Answer => ({ status: 500, type: 'text/plain', text: `${error}\n` }))
      .then(({ status, type, text }) => response.writeHead(status, { 'content-type': type }).end(text));
  });
  await listen(server, options);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Answer {
  status: number;
  type: string;
  text: string;
}

async function answer({ registry, live, ready }: HealthOptions, path: string): Promise<Answer> {
  if (path === '/healthz' || path === '/livez') return check(live ?? {});
  if (path === '/readyz') return check(ready ?? {});
  if (path === '/metrics' && registry)
    return { status: 200, type: registry.contentType, text: await registry.metrics() };
  return { status: 404, type: 'text/plain', text: 'not found: try /healthz, /readyz or /metrics\n' };
}

async function check(checks: Record<string, HealthCheck>): Promise<Answer> {
  const lines = await Promise.all(
    Object.entries(checks).map(async ([name, run]) => {
      const problem = await Promise.resolve()
        .then(run)
        .catch((error: unknown) => String(error));
      return problem === undefined ? `[+] ${name} ok` : `[-] ${name}: ${problem}`;
    }),
  );
  const status = lines.some((line) => line.startsWith('[-]')) ? 503 : 200;
  return { status, type: 'text/plain', text: `${[...lines, status === 200 ? 'ok' : 'failed'].join('\n')}\n` };
}

const listen = (server: Server, { host, port }: HealthOptions): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new Error(`cannot listen on ${host}:${port}: ${error.message}; choose another port`, {
          cause: error,
        }),
      ),
    );
    server.listen(port, host, resolve);
  });
