import type { FastifyInstance } from 'fastify';
import type { Database } from '../db/tenant.ts';

/** /healthz: the process answers. /readyz: it can serve, that is, both roles reach the database and it is not draining. */
export function healthRoutes(app: FastifyInstance, db: Database, draining: () => boolean): void {
  const options = { schema: { hide: true }, logLevel: 'silent' } as const;
  app.get('/healthz', options, async () => ({ status: 'ok' }));
  app.get('/readyz', options, async (request, reply) => {
    if (draining()) return reply.code(503).send({ status: 'draining' });
    try {
      await Promise.all([db.app.query('SELECT 1'), db.feed.query('SELECT 1')]);
      return { status: 'ok' };
    } catch (error) {
      // Why is for our log: hosts, roles and databases are nothing for whoever can reach this port.
      request.log.warn({ err: error }, 'not ready: the database is not available');
      return reply.code(503).send({ status: 'database unavailable' });
    }
  });
}
