import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { FastifyRequest } from 'fastify';
import { isSameHash, type KeyedHash, secretHash } from '../db/keyed-hash.ts';
import { createLookUpCache } from '../db/look-up-cache.ts';
import { type Database, PLATFORM_TENANT, withPresentedKey } from '../db/tenant.ts';
import { createRateLimit } from './bucket.ts';
import { notFound, Problem } from './problems.ts';

/** Who calls: the platform's own people, or one organization. */
export interface Caller {
  scope: 'platform' | 'organization';
  tenantId: string;
  keyId: string;
}

/** `fel_<id, 32 hex>_<secret, 43 base64url><crc32, 8 hex>`: a typo is refused without a look into the database. */
const KEY_PATTERN = /^fel_([0-9a-f]{32})_([A-Za-z0-9_-]{43})([0-9a-f]{8})$/;

/** Which key, and whose. */
export interface KeyIdentity {
  id: string;
  tenantId: string;
  scope: Caller['scope'];
}

const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0');
const dashed = (hex: string): string => hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

/** `key` is shown once; only its hash is kept. */
export function newKey(hash: KeyedHash, identity: KeyIdentity): { key: string; secretHash: Buffer } {
  const secret = randomBytes(32).toString('base64url');
  const body = `fel_${identity.id.replaceAll('-', '')}_${secret}`;
  return { key: `${body}${checksum(body)}`, secretHash: keyHash(hash, identity, secret) };
}

export const keyHash = (hash: KeyedHash, { id, tenantId, scope }: KeyIdentity, secret: string): Buffer =>
  secretHash(hash, 'API key', [id, tenantId, scope], secret);

/** Splits a key and checks its checksum; undefined for anything that is not one. */
export function parseKey(key: string): { id: string; secret: string } | undefined {
  const match = KEY_PATTERN.exec(key);
  if (!match?.[1] || !match[2]) return undefined;
  if (checksum(key.slice(0, -8)) !== match[3]) return undefined;
  return { id: dashed(match[1]), secret: match[2] };
}

interface KeyRow {
  tenant_id: string;
  scope: Caller['scope'];
  secret_hash: Buffer;
}

const identityOf = (id: string, { tenant_id, scope }: KeyRow): KeyIdentity => ({
  id,
  tenantId: tenant_id,
  scope,
});

/** Revocation takes effect within this time in every process. */
const CACHE_MS = 2_000;
const CACHE_ENTRIES = 10_000;
/** Of keys that were not good lately; a flood of made-up ones must not take the database from everybody. */
const LOOK_UPS_PER_SECOND = 500;

/** Turns `Authorization: Bearer fel_…` into a Caller, once per request. @throws Problem UNAUTHENTICATED, RATE_LIMITED */
export function createKeyAuthentication(
  db: Database,
  hash: KeyedHash,
  nowMs: () => number,
): (request: FastifyRequest) => Promise<Caller> {
  const lookUp = createLookUpCache<KeyRow>({
    ttlMs: CACHE_MS,
    remembersMissing: true,
    maxEntries: CACHE_ENTRIES,
    nowMs,
    admit: createRateLimit(LOOK_UPS_PER_SECOND, nowMs, 'API keys are being looked up'),
    find: (id) =>
      withPresentedKey(db, id, async (tx) => {
        const { rows } = await tx.query<KeyRow>({
          text: 'SELECT tenant_id, scope, secret_hash FROM felucca.api_keys WHERE id = $1 AND revoked_at IS NULL',
          values: [id],
        });
        return rows[0];
      }),
  });
  const callers = new WeakMap<FastifyRequest, Promise<Caller>>();
  const authenticate = async (request: FastifyRequest): Promise<Caller> => {
    const header = request.headers.authorization ?? '';
    if (!header.startsWith('Bearer '))
      throw new Problem('UNAUTHENTICATED', 'Send "Authorization: Bearer <API key>"; keys start with "fel_".');
    const parsed = parseKey(header.slice('Bearer '.length).trim());
    if (!parsed)
      throw new Problem(
        'UNAUTHENTICATED',
        'This is not a complete API key; its checksum does not fit. Copy it again.',
      );
    const row = await lookUp(parsed.id);
    if (!row || !isSameHash(row.secret_hash, keyHash(hash, identityOf(parsed.id, row), parsed.secret)))
      throw new Problem('UNAUTHENTICATED', 'This API key is unknown or revoked; create a new one.');
    return { scope: row.scope, tenantId: row.tenant_id, keyId: parsed.id };
  };
  return (request) => {
    const caller = callers.get(request) ?? authenticate(request);
    callers.set(request, caller);
    return caller;
  };
}

/** @throws Problem FORBIDDEN */
export function requirePlatform(caller: Caller): void {
  if (caller.scope !== 'platform' || caller.tenantId !== PLATFORM_TENANT)
    throw new Problem(
      'FORBIDDEN',
      'This needs a key of platform scope; keys of organizations work below /v1/organizations/{name}.',
    );
}

/** An organization's key sees its own organization only; any other looks like a missing one. */
export function requireTenant(caller: Caller, tenantId: string): void {
  if (caller.scope !== 'platform' && caller.tenantId !== tenantId) throw notFound('organization');
}
