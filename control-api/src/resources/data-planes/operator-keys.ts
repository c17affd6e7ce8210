import { z } from 'zod';
import { asFeed, type FeedTx, PLATFORM_TENANT } from '../../db/tenant.ts';
import { mutate } from '../../http/idempotency.ts';
import { mutationHeaders } from '../../http/openapi.ts';
import { notFound } from '../../http/problems.ts';
import { audit } from '../audit.ts';
import type { Api, Services } from '../services.ts';
import { listOf, problems, sendAnswer } from '../shapes.ts';
import { decidedAbout } from './decisions.ts';

const keySchema = z.object({
  id: z.string(),
  publicKey: z.string().describe('Ed25519, JWK `x`'),
  joinedAt: z.string(),
  revokedAt: z
    .string()
    .optional()
    .describe('May be ahead: the key before it is good for a few minutes after a join'),
});
const LIST_LIMIT = 100;

interface KeyRow {
  id: string;
  publicKey: string;
  joinedAt: Date;
  revokedAt: Date | null;
}

/** Keys with which operators speak for a data plane. One that is revoked is refused within seconds, and its stream ends. */
export function operatorKeyRoutes(api: Api, services: Services): void {
  const path = '/v1/data-planes/:dataPlane/operator-keys';
  const params = z.object({ dataPlane: z.string().max(64) });
  api.get(
    path,
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Keys of the operators of a data plane, the newest first',
        params,
        response: { 200: listOf(keySchema), ...problems },
      },
    },
    async (request) => {
      const { dataPlane } = await decidedAbout(services, request, request.params.dataPlane);
      const rows = await asFeed(services.db, (tx) => listKeys(tx, dataPlane.id));
      return {
        items: rows.map(({ id, publicKey, joinedAt, revokedAt }) => ({
          ...{ id, publicKey, joinedAt: joinedAt.toISOString() },
          ...(revokedAt ? { revokedAt: revokedAt.toISOString() } : {}),
        })),
      };
    },
  );

  api.post(
    `${path}/:key/revoke`,
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Refuse an operator’s key from now on; its operator needs a new join token',
        headers: mutationHeaders,
        params: params.extend({ key: z.string().max(64) }),
        response: { 200: z.object({ revoked: z.string() }), ...problems },
      },
    },
    async (request, reply) => {
      const { caller, dataPlane } = await decidedAbout(services, request, request.params.dataPlane);
      const { key } = request.params;
      const answer = await mutate(services, PLATFORM_TENANT, request, async (tx) => {
        // Before the audit: one too many says that somebody tried, one too few would hide that it is done.
        if (!(await asFeed(services.db, (feedTx) => revokeKey(feedTx, dataPlane.id, key))))
          throw notFound('operator key');
        await audit(tx, services.newId(), caller, 'operator-key.revoke', `data-plane/${dataPlane.name}`, {
          key,
        });
        return { status: 200, headers: {}, body: { revoked: key } };
      });
      return sendAnswer(reply, answer);
    },
  );
}

async function listKeys(tx: FeedTx, dataPlaneId: string): Promise<KeyRow[]> {
  const { rows } = await tx.query<KeyRow & Record<string, unknown>>({
    text: `SELECT id, public_key AS "publicKey", created_at AS "joinedAt", revoked_at AS "revokedAt"
             FROM felucca.operator_keys WHERE data_plane_id = $1 ORDER BY created_at DESC, id LIMIT $2`,
    values: [dataPlaneId, LIST_LIMIT],
  });
  return rows;
}

/** At once, also one whose overlap has not ended yet; one that was revoked before stays so. @returns whether there is one */
async function revokeKey(tx: FeedTx, dataPlaneId: string, key: string): Promise<boolean> {
  const { rowCount } = await tx.query({
    text: `UPDATE felucca.operator_keys SET revoked_at = least(coalesce(revoked_at, now()), now())
            WHERE data_plane_id = $1 AND id = $2`,
    values: [dataPlaneId, key],
  });
  return rowCount === 1;
}
