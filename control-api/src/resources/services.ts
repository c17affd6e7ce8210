import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyRequest,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { KeyedHash } from '../db/keyed-hash.ts';
import type { LookUpCache } from '../db/look-up-cache.ts';
import type { Database } from '../db/tenant.ts';
import type { RowSigner } from '../feed/signer.ts';
import type { Caller } from '../http/api-keys.ts';
import type { OutputKey } from '../link/output-key.ts';
import type { OrganizationRow } from './organizations/queries.ts';

/** What every route works with; made once, in main.ts. */
export interface Services {
  db: Database;
  hash: KeyedHash;
  outputKey: OutputKey;
  signer: RowSigner;
  /** Says that these data planes have something new; called after commit, never inside a transaction. */
  wake: { committed(dataPlaneIds: readonly string[]): void };
  authenticate: (request: FastifyRequest) => Promise<Caller>;
  organizationNamed: LookUpCache<OrganizationRow>;
  /** UUIDv7: ordered by time, so keys stay close together in the index. */
  newId: () => string;
  now: () => Date;
  /** Aborted when this process is about to end: whoever waits answers with what there is. */
  draining: AbortSignal;
}

export type Api = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;
