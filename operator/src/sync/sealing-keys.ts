import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { isSealed, sealingJwk, sealingKeyId } from '@felucca/contract';
import { decodeProtectedHeader } from 'jose';
import { z } from 'zod';
import { changeIdentity, IDENTITY_SECRET, type IdentityStore, readField } from './identity-store.ts';

/** One key pair that values are, or were, sealed to. */
export interface SealingKey {
  kid: string;
  /** JWK `x`. */
  publicKey: string;
  privateKey: KeyObject;
}

const FIELD = 'sealing-keys.json';
/** The newest and those before it; what was sealed to an older one must have been sent again by then. */
const MAX_KEYS = 8;

const jwkSchema = z.object({ kty: z.literal('OKP'), crv: z.literal('X25519'), x: z.string(), d: z.string() });
const jwkSetSchema = z.object({ keys: z.array(jwkSchema).min(1) });
type JwkSet = z.infer<typeof jwkSetSchema>;

/** Newest first. @throws without a word of what is in there */
export function readSealingKeys(data: Record<string, string>): SealingKey[] {
  return readField(data, FIELD, keysOf, REMEDY) ?? [];
}

/** The fields of the identity Secret with a new key before those that there are. */
export function withNewSealingKey(data: Record<string, string>): Record<string, string> {
  const { privateKey } = generateKeyPairSync('x25519');
  const { x = '', d = '' } = privateKey.export({ format: 'jwk' });
  const keys = [{ ...sealingJwk(x), d }, ...(readField(data, FIELD, setOf, REMEDY)?.keys ?? [])].slice(
    0,
    MAX_KEYS,
  );
  return { ...data, [FIELD]: JSON.stringify({ keys }) };
}

/**
 * What is sealed from now on is sealed to another key; the former ones stay, for what was sealed to them.
 * @throws instead of forgetting one that is in use
 */
export async function rotateSealingKey(
  store: IdentityStore,
  inUse: ReadonlySet<string> = new Set(),
): Promise<SealingKey> {
  const data = await changeIdentity(store, (stored) => {
    if (!stored) throw new Error(`there is no Secret ${IDENTITY_SECRET}; this data plane has not joined`);
    const lost = readSealingKeys(stored)
      .slice(MAX_KEYS - 1)
      .filter(({ kid }) => inUse.has(kid));
    if (lost.length > 0)
      throw new Error(
        `values of Instances here are sealed to a key that would be forgotten (${lost[0]?.kid}); send them again through the API first`,
      );
    return withNewSealingKey(stored);
  });
  return readSealingKeys(data)[0]!;
}

/** Keys that something in these specs is sealed to. */
export function keysInUse(specs: Iterable<unknown>): Set<string> {
  const found = new Set<string>();
  const visit = (value: unknown): void => {
    if (isSealed(value)) found.add(keyIdOf(value.sealed) ?? '');
    else if (typeof value === 'object' && value !== null)
      for (const item of Object.values(value)) visit(item);
  };
  for (const spec of specs) visit(spec);
  return found;
}

/** Which key opens it, as it says itself. */
export function keyIdOf(sealed: string): string | undefined {
  try {
    return decodeProtectedHeader(sealed).kid;
  } catch {
    return undefined;
  }
}

const REMEDY = 'to have a new key made, and send sensitive parameters again';
const setOf = (text: string): JwkSet => jwkSetSchema.parse(JSON.parse(text));
const keysOf = (text: string): SealingKey[] =>
  setOf(text).keys.map((jwk) => ({
    kid: sealingKeyId(jwk.x),
    publicKey: jwk.x,
    privateKey: createPrivateKey({ key: jwk, format: 'jwk' }),
  }));
