import { Gauge, type Registry } from 'prom-client';
import type { Database } from './tenant.ts';

/** The pools under OpenTelemetry's names; read when they are scraped. */
export function observePools(db: Database, size: number, registry: Registry): void {
  const registers = [registry];
  const pools = { app: db.app, feed: db.feed };
  const max = new Gauge({
    name: 'db_client_connection_max',
    help: 'Most connections of a pool.',
    labelNames: ['db_client_connection_pool_name'] as const,
    registers,
  });
  for (const name of Object.keys(pools)) max.set({ db_client_connection_pool_name: name }, size);
  new Gauge({
    name: 'db_client_connection_count',
    help: 'Connections to the database, by pool and state.',
    labelNames: ['db_client_connection_pool_name', 'db_client_connection_state'] as const,
    registers,
    collect() {
      for (const [name, { totalCount, idleCount }] of Object.entries(pools)) {
        const label = { db_client_connection_pool_name: name };
        this.set({ ...label, db_client_connection_state: 'idle' }, idleCount);
        this.set({ ...label, db_client_connection_state: 'used' }, totalCount - idleCount);
      }
    },
  });
  new Gauge({
    name: 'db_client_connection_pending_requests',
    help: 'Requests that wait for a connection of a pool.',
    labelNames: ['db_client_connection_pool_name'] as const,
    registers,
    collect() {
      for (const [name, { waitingCount }] of Object.entries(pools))
        this.set({ db_client_connection_pool_name: name }, waitingCount);
    },
  });
}
