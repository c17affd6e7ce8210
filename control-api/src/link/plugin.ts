import { type JoinReply, joinRequestSchema } from '@felucca/contract';
import type { FastifyPluginAsync } from 'fastify';
import type { Pool } from 'pg';
import type { KeyedHash } from '../db/keyed-hash.ts';
import type { RowSigner } from '../feed/signer.ts';
import { createRateLimit } from '../http/bucket.ts';
import { Problem } from '../http/problems.ts';
import { invalidBody } from './invalid.ts';
import { redeemJoinToken } from './join.ts';
import type { LinkMetrics } from './metrics.ts';

export interface LinkPluginOptions {
  /** Pool of the felucca_feed role. */
  pool: Pool;
  signer: RowSigner;
  hash: KeyedHash;
  metrics: LinkMetrics;
  /** Monotonic. */
  nowMs: () => number;
}

/** Nobody is authenticated here yet, and each try is a transaction. */
const JOINS_PER_SECOND = 100;

/** POST /v1/join: an operator trades its one-time token for an identity of its own. */
export const linkPlugin: FastifyPluginAsync<LinkPluginOptions> = async (app, options) => {
  const { pool, signer, hash, metrics, nowMs } = options;
  const admit = createRateLimit(JOINS_PER_SECOND, nowMs, 'operators are joining');
  app.post('/v1/join', { bodyLimit: 4_096, schema: { hide: true } }, async (request): Promise<JoinReply> => {
    const body = joinRequestSchema.safeParse(request.body);
    if (!body.success) throw invalidBody('join request', body.error.issues);
    admit();
    const outcome = await redeemJoinToken(pool, hash, body.data);
    metrics.joins.inc({ result: outcome.result });
    if (outcome.result === 'refused') throw refused();
    if (outcome.result === 'revoked_key') throw revokedKey();
    if (outcome.result === 'other_data_plane') throw otherDataPlane(outcome);
    request.log.info({ ...outcome.reply, result: outcome.result }, 'operator joined');
    return { ...outcome.reply, signingKeys: signer.publicKeys() };
  });
};

/** Unknown, revoked, expired and used tokens look alike. */
const refused = (): Problem =>
  new Problem(
    'UNAUTHENTICATED',
    'The join token is unknown, revoked, expired or already used. Create a new one with ' +
      'POST /v1/data-planes/{data plane}/join-tokens and give it to the operator; a token works once.',
  );
const otherDataPlane = ({ isFor, is }: { isFor: string; is: string }): Problem =>
  new Problem(
    'CONFLICT',
    `The join token is for data plane ${isFor}, and the cluster of this operator is ${is}: under another name nobody would look ` +
      'after what runs there. Nothing was changed, and the token is still good for its own data plane.',
  );
const revokedKey = (): Problem =>
  new Problem(
    'CONFLICT',
    'The operator offered a key that was revoked. Create a new join token with ' +
      'POST /v1/data-planes/{data plane}/join-tokens and give it to the operator: it makes a new key for each token.',
  );
