import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { outputKeyBytes, type SignedOutputKey, signedBytes } from '@felucca/contract';
import { calculateJwkThumbprint } from 'jose';
import { readOrMakeKeyFile } from '../db/key-file.ts';

export type SignableRow = Parameters<typeof signedBytes>[0];

/**
 * Signs desired rows. The key never enters the database, so whoever steals the database
 * cannot steer a cluster.
 */
export interface RowSigner {
  readonly kid: string;
  /** kid → Ed25519 public key (JWK `x`): what an operator pins when it joins. */
  publicKeys(): Record<string, string>;
  /** base64url Ed25519 signature over contract's signedBytes. */
  sign(row: SignableRow): string;
  /** Whether a row that comes back is one that this control plane signed, with a key that it still has. */
  wasSigned(row: SignableRow, kid: string, sig: string): boolean;
  /** The key that this data plane's sensitive outputs are to be sealed to. */
  signOutputKey(dataPlaneId: string, key: string): SignedOutputKey;
}

/** @param pem PKCS#8 Ed25519 private key. */
export async function signerFromPem(pem: string): Promise<RowSigner> {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== 'ed25519')
    throw new Error(
      `the signing key is ${key.asymmetricKeyType}, but desired rows are signed with Ed25519; ` +
        'create one with: openssl genpkey -algorithm ed25519',
    );
  const publicKey = createPublicKey(key);
  const x = publicX(publicKey);
  const kid = `fs_${(await calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x })).slice(0, 22)}`;
  return {
    kid,
    publicKeys: () => ({ [kid]: x }),
    sign: (row) => sign(null, signedBytes(row), key).toString('base64url'),
    wasSigned: (row, by, sig) =>
      by === kid && verify(null, signedBytes(row), publicKey, Buffer.from(sig, 'base64url')),
    signOutputKey: (dataPlaneId, outputKey) => ({
      key: outputKey,
      kid,
      sig: sign(null, outputKeyBytes(dataPlaneId, outputKey), key).toString('base64url'),
    }),
  };
}

/** Reads the key file; makes one (mode 0600) if there is none, once, whoever starts first. */
export async function signerFromFile(path: string): Promise<RowSigner> {
  const pem = await readOrMakeKeyFile(
    path,
    () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  );
  return signerFromPem(pem).catch((error: Error) => {
    throw new Error(`${path}: ${error.message}`);
  });
}

function publicX(key: KeyObject): string {
  const { x } = key.export({ format: 'jwk' });
  if (!x) throw new Error('the signing key has no public part');
  return x;
}
