import { randomBytes } from 'node:crypto';
import type { FastifyRequest } from 'fastify';

const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
const made = new WeakMap<FastifyRequest, string>();

/** W3C trace context of a request: the caller's, or a new one. It travels with the desired row to the cluster. */
export function traceparentOf(request: FastifyRequest): string {
  const given = request.headers['traceparent'];
  if (typeof given === 'string' && TRACEPARENT.test(given)) return given;
  let own = made.get(request);
  if (!own) {
    own = `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;
    made.set(request, own);
  }
  return own;
}

export const traceIdOf = (request: FastifyRequest): string => traceparentOf(request).slice(3, 35);
