import { canonicalJson, SEALING, type SealedValue, sealedHeaderSchema, unpadded } from '@felucca/contract';
import { compactDecrypt } from 'jose';
import { ClusterError } from '../reconcilers/cluster.ts';
import { CannotOpen, type OpenSealed } from '../reconcilers/instance/open-parameters.ts';
import { readJoined } from './identity.ts';
import type { IdentityStore } from './identity-store.ts';
import { keyIdOf, readSealingKeys, type SealingKey } from './sealing-keys.ts';

interface Keys {
  dataPlaneId: string | undefined;
  byId: ReadonlyMap<string, SealingKey>;
}

/**
 * Opens what was sealed to this data plane. The keys are read again when one is asked for that is not known: another
 * process, which holds the link, may have made it.
 */
export function createUnsealer(store: Pick<IdentityStore, 'read'>): OpenSealed {
  let known: Keys | undefined;
  let reading: Promise<Keys> | undefined;
  const read = (): Promise<Keys> => {
    reading ??= readKeys(store).finally(() => {
      reading = undefined;
    });
    return reading;
  };
  return async ({ sealed }, place) => {
    const kid = keyIdOf(sealed);
    if (kid === undefined) throw new CannotOpen('changed');
    if (!known?.byId.has(kid)) known = await read();
    const key = known.byId.get(kid);
    if (!key) throw new CannotOpen('unknownKey');
    const { text, header } = await decrypted(sealed, key);
    const context = sealedHeaderSchema.safeParse(header).data?.context;
    // With the same keys it may have joined another data plane since.
    if (context?.dataPlane !== known.dataPlaneId) known = await read();
    const expected = { dataPlane: known.dataPlaneId, ...place };
    if (canonicalJson(context ?? null) !== canonicalJson(expected)) throw new CannotOpen('moved');
    return text;
  };
}

async function readKeys(store: Pick<IdentityStore, 'read'>): Promise<Keys> {
  try {
    const { data = {} } = (await store.read()) ?? {};
    const keys = readSealingKeys(data);
    return { dataPlaneId: readJoined(data)?.dataPlaneId, byId: new Map(keys.map((key) => [key.kid, key])) };
  } catch (error) {
    throw new ClusterError(0, `the keys of this data plane cannot be read: ${(error as Error).message}`);
  }
}

async function decrypted(sealed: SealedValue['sealed'], key: SealingKey) {
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(sealed, key.privateKey, {
      keyManagementAlgorithms: [SEALING.alg],
      contentEncryptionAlgorithms: [SEALING.enc],
    });
    return { text: unpadded(plaintext), header: protectedHeader };
  } catch {
    throw new CannotOpen('changed');
  }
}
