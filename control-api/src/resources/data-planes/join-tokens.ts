import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { type Transaction, withPlatform } from '../../db/tenant.ts';
import { audit } from '../audit.ts';
import type { Api, Services } from '../services.ts';
import { problems } from '../shapes.ts';
import { decidedAbout } from './decisions.ts';

const TOKEN_MINUTES = 15;

/** One-time tokens with which an operator joins a data plane. */
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
      const { token, secretHash } = newJoinToken(id);
      const expiresAt = new Date(
        services.now().getTime() + (request.body?.expiresInMinutes ?? TOKEN_MINUTES) * 60_000,
      );
      await withPlatform(services.db, async (tx) => {
        await insertToken(tx, { id, dataPlaneId: dataPlane.id, secretHash, expiresAt });
        await audit(tx, services.newId(), caller, 'join-token.create', `data-plane/${dataPlane.name}`, {
          id,
        });
      });
      return reply
        .code(201)
        .send({ token, expiresAt: expiresAt.toISOString(), signingKeys: services.signer.publicKeys() });
    },
  );
}

/** `fj_<id, 32 hex>_<secret, 43 base64url>`; the database keeps SHA-256 of the secret. */
export function newJoinToken(id: string): { token: string; secretHash: Buffer } {
  const secret = randomBytes(32).toString('base64url');
  return {
    token: `fj_${id.replaceAll('-', '')}_${secret}`,
    secretHash: createHash('sha256').update(secret).digest(),
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
