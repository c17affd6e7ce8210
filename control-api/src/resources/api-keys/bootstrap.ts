import { sqlState, UNIQUE_VIOLATION } from '../../db/errors.ts';
import { type Database, type TenantTx, withPlatform } from '../../db/tenant.ts';
import { type NewKey, parseKey } from '../../http/api-keys.ts';
import { audit } from '../audit.ts';
import { insertKey } from './queries.ts';

export async function insertPlatformKey(
  tx: TenantTx,
  made: Omit<NewKey, 'key'>,
  name: string,
  auditId: string,
): Promise<void> {
  await insertKey(tx, { ...made, name, scope: 'platform' });
  await audit(tx, auditId, { program: name }, 'api-key.create', `api-key/${made.id}`, {
    name,
    scope: 'platform',
  });
}

/** Makes the given key valid, once: for scripts that set a whole installation up. */
export async function ensureBootstrapKey(db: Database, key: string, newId: () => string): Promise<void> {
  const parsed = parseKey(key);
  if (!parsed) throw new Error('FELUCCA_BOOTSTRAP_KEY is not a complete API key; make one with "create-key"');
  await withPlatform(db, async (tx) => {
    const { rowCount } = await tx.query({
      text: 'SELECT FROM felucca.api_keys WHERE tenant_id = $1 AND id = $2',
      values: [tx.tenantId, parsed.id],
    });
    if (rowCount === 0) await insertPlatformKey(tx, parsed, 'bootstrap', newId());
  }).catch((error) => {
    // Another replica that starts at the same time was first.
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
  });
}
