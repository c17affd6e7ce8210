import { sqlState, UNIQUE_VIOLATION } from '../../db/errors.ts';
import { isSameHash, type KeyedHash } from '../../db/keyed-hash.ts';
import { type Database, PLATFORM_TENANT, type TenantTx, withPlatform } from '../../db/tenant.ts';
import { type KeyIdentity, keyHash, newKey, parseKey } from '../../http/api-keys.ts';
import { audit } from '../audit.ts';
import { insertKey, keepHash, keptHash } from './queries.ts';

type NewId = () => string;

const platformKey = (id: string): KeyIdentity => ({ id, tenantId: PLATFORM_TENANT, scope: 'platform' });

/** For whoever has no key yet, and this folder and database. */
export async function makePlatformKey(db: Database, hash: KeyedHash, newId: NewId): Promise<string> {
  const identity = platformKey(newId());
  const { key, secretHash } = newKey(hash, identity);
  await withPlatform(db, (tx) => insertPlatformKey(tx, identity, secretHash, 'create-key', newId()));
  return key;
}

/**
 * Makes the given key valid, once: for scripts that set a whole installation up. A revoked one stays so; one whose hash was
 * made with another key folder is made good.
 */
export async function ensureBootstrapKey(
  db: Database,
  hash: KeyedHash,
  key: string,
  newId: NewId,
): Promise<void> {
  const parsed = parseKey(key);
  if (!parsed) throw new Error('FELUCCA_BOOTSTRAP_KEY is not a complete API key; make one with "create-key"');
  const identity = platformKey(parsed.id);
  const secretHash = keyHash(hash, identity, parsed.secret);
  await withPlatform(db, async (tx) => {
    const kept = await keptHash(tx, parsed.id);
    if (!kept) await insertPlatformKey(tx, identity, secretHash, 'bootstrap', newId());
    else if (!isSameHash(kept, secretHash)) await keepHash(tx, parsed.id, secretHash);
  }).catch((error) => {
    // Another replica that starts at the same time was first.
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
  });
}

async function insertPlatformKey(
  tx: TenantTx,
  identity: KeyIdentity,
  secretHash: Buffer,
  name: string,
  auditId: string,
): Promise<void> {
  const { id, scope } = identity;
  await insertKey(tx, { ...identity, name, secretHash });
  await audit(tx, auditId, { program: name }, 'api-key.create', `api-key/${id}`, { name, scope });
}
