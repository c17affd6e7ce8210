import { connect, type TLSSocket } from 'node:tls';
import { H1Wire } from './h1-wire.ts';
import { type H2Options, H2Wire } from './h2-wire.ts';
import type { KubeEndpoint } from './kube-config.ts';
import { type Wire, WireError } from './wire.ts';

const DIAL_TIMEOUT_MS = 10_000;

/** Connects, and speaks HTTP/2 if the server agrees to it, else keep-alive HTTP/1.1. */
export async function dial(endpoint: KubeEndpoint, options: H2Options & { http1?: boolean }): Promise<Wire> {
  const server = new URL(endpoint.server);
  try {
    const { cert, key } = await endpoint.auth();
    const { ca, servername, verify } = endpoint;
    const tls = {
      rejectUnauthorized: verify,
      ...(ca === undefined ? {} : { ca }),
      ...(servername === undefined ? {} : { servername }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    };
    if (server.protocol === 'http:' || options.http1) return new H1Wire(server, tls);
    const socket = await openTls(server, tls);
    if (socket.alpnProtocol === 'h2') return new H2Wire(server, socket, options);
    socket.destroy();
    return new H1Wire(server, tls);
  } catch (error) {
    throw new WireError(`cannot connect to ${server.host}: ${(error as Error).message}`, false, error);
  }
}

function openTls(server: URL, tls: { servername?: string; rejectUnauthorized: boolean }): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const host = server.hostname.replace(/^\[|\]$/g, '');
    const socket = connect({
      host,
      port: Number(server.port || 443),
      ALPNProtocols: ['h2', 'http/1.1'],
      ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
      ...tls,
    });
    const timer = setTimeout(
      () => socket.destroy(new Error(`no TLS connection within ${DIAL_TIMEOUT_MS} ms`)),
      DIAL_TIMEOUT_MS,
    );
    socket.setNoDelay(true);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}
