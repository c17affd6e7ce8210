import { createPrivateKey, createPublicKey } from 'node:crypto';
import {
  canonicalJson,
  SEALING,
  type SealedOutputContext,
  sealedOutputHeaderSchema,
  unpadded,
} from '@felucca/contract';
import { compactDecrypt } from 'jose';
import { derivedKey } from '../db/keyed-hash.ts';
import { readRoleSecret } from '../db/role-passwords.ts';

/** What operators seal sensitive outputs to, and what opens them again: in API processes only. */
export interface OutputKey {
  /** JWK `x`. */
  readonly publicKey: string;
  /** Undefined for what is not sealed to this key, or not for this output. */
  open(sealed: string, context: SealedOutputContext): Promise<string | undefined>;
}

/** PKCS#8 around the 32 bytes of an X25519 private key (RFC 8410). */
const PKCS8_X25519 = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** From the secret that the processes of this control plane share; with another one, operators seal everything anew. */
export async function outputKeyFromFolder(keyDir: string): Promise<OutputKey> {
  const seed = derivedKey(await readRoleSecret(keyDir), 'sensitive outputs');
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8_X25519, seed]),
    format: 'der',
    type: 'pkcs8',
  });
  return {
    publicKey: createPublicKey(privateKey).export({ format: 'jwk' }).x ?? '',
    open: async (sealed, context) => {
      try {
        const { plaintext, protectedHeader } = await compactDecrypt(sealed, privateKey, {
          keyManagementAlgorithms: [SEALING.alg],
          contentEncryptionAlgorithms: [SEALING.enc],
        });
        const header = sealedOutputHeaderSchema.parse(protectedHeader);
        return canonicalJson(header.context) === canonicalJson(context) ? unpadded(plaintext) : undefined;
      } catch {
        return undefined;
      }
    },
  };
}
