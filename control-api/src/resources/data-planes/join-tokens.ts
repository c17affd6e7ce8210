import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { KeyedHash } from '../../db/keyed-hash.ts';
import { type Transaction, withPlatform } from '../../db/tenant.ts';
import { Problem } from '../../http/problems.ts';
import { joinTokenHash } from '../../link/join-token-hash.ts';
import { audit } from '../audit.ts';
import type { Api, Services } from '../services.ts';
import { decodeIdCursor, listOf, page, pageQuery, problems } from '../shapes.ts';
import { decidedAbout } from './decisions.ts';

const TOKEN_MINUTES = 15;
const tokenSchema = z.object({
  id: z.string().describe('The 32 hexadecimal digits after `fj_` in the token; they are no secret'),
  createdAt: z.string(),
  expiresAt: z.string(),
});

interface TokenRow {
  id: string;
  createdAt: Date;
  expiresAt: Date;
}

/** One-time tokens with which an operator joins a data plane. Whoever has one that is not used can speak for it. */
export function joinTokenRoutes(api: Api, services: Services): void {
  const path = '/v1/data-planes/:dataPlane/join-tokens';
  const params = z.object({ dataPlane: z.string().max(64) });
  // No Idempotency-Key here: its stored answer would keep the secret.
  api.post(
    path,
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Create a one-time token with which an operator joins',
        params,
        body: z.strictObject({ expiresInMinutes: z.number().int().min(1).max(1440).optional() }).nullish(),
        response: {
          201: z.object({
            token: z.string(),
            expiresAt: z.string(),
            signingKeys: z.record(z.string(), z.string()),
          }),
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { caller, dataPlane } = await decidedAbout(services, request, request.params.dataPlane);
      const id = services.newId();
      const { token, secretHash } = newJoinToken(services.hash, id, dataPlane.id);
      const expiresAt = new Date(
        services.now().getTime() + (request.body?.expiresInMinutes ?? TOKEN_MINUTES) * 60_000,
      );
      await withPlatform(services.db, async (tx) => {
        await insertToken(tx, { id, dataPlaneId: dataPlane.id, secretHash, expiresAt });
        await audit(tx, services.newId(), caller, 'join-token.create', `data-plane/${dataPlane.name}`, {
          id: publicId(id),
        });
      });
      return reply
        .code(201)
        .send({ token, expiresAt: expiresAt.toISOString(), signingKeys: services.signer.publicKeys() });
    },
  );

  api.get(
    path,
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Join tokens with which somebody can still join, the newest first',
        params,
        querystring: pageQuery,
        response: { 200: listOf(tokenSchema), ...problems },
      },
    },
    async (request) => {
      const { dataPlane } = await decidedAbout(services, request, request.params.dataPlane);
      const { limit, cursor } = request.query;
      const before = decodeIdCursor(cursor);
      const rows = await withPlatform(services.db, (tx) =>
        listGoodTokens(tx, dataPlane.id, before, limit + 1),
      );
      return page(rows, limit, show, (row) => row.id);
    },
  );

  api.delete(
    `${path}/:id`,
    {
      schema: {
        tags: ['data-planes'],
        summary: 'Revoke a join token that is not used yet',
        params: params.extend({
          id: z
            .string()
            .regex(
              /^[0-9a-f]{32}$/,
              'must be the 32 hexadecimal digits after "fj_" in the token, without the rest',
            ),
        }),
        response: { 204: z.null(), ...problems },
      },
    },
    async (request, reply) => {
      const { caller, dataPlane } = await decidedAbout(services, request, request.params.dataPlane);
      const { id } = request.params;
      await withPlatform(services.db, async (tx) => {
        if (!(await deleteUnusedToken(tx, dataPlane.id, id))) throw noneUnused(id, dataPlane.name);
        await audit(tx, services.newId(), caller, 'join-token.revoke', `data-plane/${dataPlane.name}`, {
          id,
        });
      });
      return reply.code(204).send(null);
    },
  );
}

const show = (row: TokenRow): z.infer<typeof tokenSchema> => ({
  id: publicId(row.id),
  createdAt: row.createdAt.toISOString(),
  expiresAt: row.expiresAt.toISOString(),
});

/** As it is in the token, and in the audit of a join with it. */
const publicId = (id: string): string => id.replaceAll('-', '');

const noneUnused = (id: string, dataPlane: string): Problem =>
  new Problem(
    'NOT_FOUND',
    `Data plane "${dataPlane}" has no unused join token "${id}". If somebody has joined with it, their key is good: ` +
      `revoke that (/v1/data-planes/${dataPlane}/operator-keys).`,
  );

/** `fj_<id, 32 hex>_<secret, 43 base64url>`; the database keeps a keyed hash. */
export function newJoinToken(
  hash: KeyedHash,
  id: string,
  dataPlaneId: string,
): { token: string; secretHash: Buffer } {
  const secret = randomBytes(32).toString('base64url');
  return {
    token: `fj_${publicId(id)}_${secret}`,
    secretHash: joinTokenHash(hash, id, dataPlaneId, secret),
  };
}

async function insertToken(
  tx: Transaction,
  token: { id: string; dataPlaneId: string; secretHash: Buffer; expiresAt: Date },
): Promise<void> {
  await tx.query({
    text: `INSERT INTO felucca.join_tokens (id, data_plane_id, secret_hash, expires_at) VALUES ($1, $2, $3, $4)`,
    values: [token.id, token.dataPlaneId, token.secretHash, token.expiresAt],
  });
}

/** By the database's clock, as a join has it. */
async function listGoodTokens(
  tx: Transaction,
  dataPlaneId: string,
  before: string | undefined,
  limit: number,
): Promise<TokenRow[]> {
  const { rows } = await tx.query<TokenRow & Record<string, unknown>>({
    text: `SELECT id, created_at AS "createdAt", expires_at AS "expiresAt" FROM felucca.join_tokens
            WHERE data_plane_id = $1 AND used_at IS NULL AND expires_at > now() AND ($2::uuid IS NULL OR id < $2)
            ORDER BY id DESC LIMIT $3`,
    values: [dataPlaneId, before ?? null, limit],
  });
  return rows;
}

/**
 * Whoever takes the row first wins, this or a join. Not by an end of its time that is now: a join that began before, and
 * waits for the row, has an earlier now().
 * @returns whether there was one
 */
async function deleteUnusedToken(tx: Transaction, dataPlaneId: string, id: string): Promise<boolean> {
  const { rowCount } = await tx.query({
    text: 'DELETE FROM felucca.join_tokens WHERE data_plane_id = $1 AND id = $2::uuid AND used_at IS NULL',
    values: [dataPlaneId, id],
  });
  return rowCount === 1;
}
