import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { sealingJwk, sealingKeyId } from '@felucca/contract';
import { z } from 'zod';
import { IDENTITY_SECRET, type IdentityStore } from './identity.ts';

/** One key pair that values are, or were, sealed to. */
export interface SealingKey {
  kid: string;
  /** JWK `x`. */
  publicKey: string;
  privateKey: KeyObject;
}

const FIELD = 'sealing-keys.json';
/** After so many rotations what was sealed first can't be opened any more, unless somebody has set it again. */
const MAX_KEYS = 8;

const jwkSchema = z.object({ kty: z.literal('OKP'), crv: z.literal('X25519'), x: z.string(), d: z.string() });
const jwkSetSchema = z.object({ keys: z.array(jwkSchema).min(1) });
type JwkSet = z.infer<typeof jwkSetSchema>;

/** Newest first. @throws without a word of what is in there */
export function readSealingKeys(data: Record<string, string>): SealingKey[] {
  return (readSet(data)?.keys ?? []).map((jwk) => ({
    kid: sealingKeyId(jwk.x),
    publicKey: jwk.x,
    privateKey: createPrivateKey({ key: jwk, format: 'jwk' }),
  }));
}

/** The fields of the identity Secret with a new key before those that there are. */
export function withNewSealingKey(data: Record<string, string>): Record<string, string> {
  const { privateKey } = generateKeyPairSync('x25519');
  const { x = '', d = '' } = privateKey.export({ format: 'jwk' });
  const keys = [{ ...sealingJwk(x), d }, ...(readSet(data)?.keys ?? [])].slice(0, MAX_KEYS);
  return { ...data, [FIELD]: JSON.stringify({ keys }) };
}

/** What is sealed from now on is sealed to another key; the former ones stay, for what was sealed to them. */
export async function rotateSealingKey(store: IdentityStore): Promise<SealingKey | undefined> {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const stored = await store.read();
    if (!stored) throw new Error(`there is no Secret ${IDENTITY_SECRET}; this data plane has not joined`);
    const data = withNewSealingKey(stored.data);
    if (await store.update(data, stored.resourceVersion)) return readSealingKeys(data)[0];
  }
  throw new Error(`Secret ${IDENTITY_SECRET} keeps changing; is another operator writing it?`);
}

function readSet(data: Record<string, string>): JwkSet | undefined {
  const text = data[FIELD];
  if (text === undefined) return undefined;
  try {
    return jwkSetSchema.parse(JSON.parse(text));
  } catch {
    // The error would quote what it could not read.
    throw new Error(
      `field ${FIELD} of Secret ${IDENTITY_SECRET} is not a set of X25519 keys; put it back from a backup, or remove it to have a new key made, and send sensitive parameters again`,
    );
  }
}
