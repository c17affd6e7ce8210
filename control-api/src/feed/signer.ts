import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { outputKeyBytes, type SignedOutputKey, signedBytes } from '@felucca/contract';
import { calculateJwkThumbprint } from 'jose';
import { readKeyFile, readOrMakeKeyFile } from '../db/key-file.ts';

export type SignableRow = Parameters<typeof signedBytes>[0];

/** Whose signatures are known. */
export interface KnownKey {
  readonly kid: string;
  /** Ed25519, JWK `x`. */
  readonly publicKey: string;
}

/** One key, in this process or in a service that signs and never gives it away (a KMS). */
export interface SigningKey extends KnownKey {
  /** @returns the Ed25519 signature; it is waited for inside the transaction that writes the row */
  sign(bytes: Buffer): Promise<Buffer>;
}

/**
 * Signs desired rows. The key never enters the database, so whoever steals the database
 * cannot steer a cluster.
 */
export interface RowSigner {
  /** Of the key that signs. */
  readonly kid: string;
  /** All that there are, the one that signs first: kid → Ed25519 public key (JWK `x`). Operators pin them when they join. */
  publicKeys(): Record<string, string>;
  /** base64url Ed25519 signature over contract's signedBytes. */
  sign(row: SignableRow): Promise<string>;
  /** Whether a row that comes back is one that this control plane signed, with a key that it still has. */
  wasSigned(row: SignableRow, kid: string, sig: string): boolean;
  /** The key that this data plane's sensitive outputs are to be sealed to. */
  signOutputKey(dataPlaneId: string, key: string): Promise<SignedOutputKey>;
}

/** Of the keys whose signatures are ours: {@link RowSigner.publicKeys}. */
export const kidsOf = (signer: Pick<RowSigner, 'publicKeys'>): string[] => Object.keys(signer.publicKeys());

/** Signatures that are asked for again and again: a KMS, or a core, signs them once. */
const MAX_REMEMBERED = 20_000;
/** They go along with every order, and their generation never moves. */
export const REPEATED: readonly string[] = ['Blueprint', 'Tenant'];

/** @param others known as ours as well: the next key, or the one before */
export function rowSigner(signs: SigningKey, others: readonly KnownKey[] = []): RowSigner {
  const keys = new Map([signs, ...others].map((key: KnownKey) => [key.kid, publicKeyOf(key)]));
  const remembered = new Map<string, Promise<string>>();
  const signed = async (bytes: Buffer): Promise<string> => (await signs.sign(bytes)).toString('base64url');
  const signedOnce = (bytes: Buffer): Promise<string> => {
    const name = bytes.toString('latin1');
    const known = remembered.get(name);
    if (known) return known;
    const signature = signed(bytes);
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    remembered.set(name, signature);
    signature.catch(() => remembered.delete(name));
    return signature;
  };
  return {
    kid: signs.kid,
    publicKeys: () => Object.fromEntries([signs, ...others].map(({ kid, publicKey }) => [kid, publicKey])),
    sign: (row) => (REPEATED.includes(row.kind) ? signedOnce : signed)(signedBytes(row)),
    wasSigned: (row, by, sig) => {
      const key = keys.get(by);
      return key !== undefined && verify(null, signedBytes(row), key, Buffer.from(sig, 'base64url'));
    },
    signOutputKey: async (dataPlaneId, outputKey) => ({
      key: outputKey,
      kid: signs.kid,
      sig: await signedOnce(outputKeyBytes(dataPlaneId, outputKey)),
    }),
  };
}

/** @param pem PKCS#8 Ed25519 private key. */
export async function signingKeyFromPem(pem: string): Promise<SigningKey> {
  const key = createPrivateKey(pem);
  return { ...(await knownKey(createPublicKey(key))), sign: async (bytes) => sign(null, bytes, key) };
}

async function knownKey(key: KeyObject): Promise<KnownKey> {
  const { x: publicKey } = key.export({ format: 'jwk' });
  if (key.asymmetricKeyType !== 'ed25519' || !publicKey)
    throw new Error(
      `the signing key is ${key.asymmetricKeyType}, but desired rows are signed with Ed25519; ` +
        'create one with: openssl genpkey -algorithm ed25519',
    );
  const thumbprint = await calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x: publicKey });
  return { kid: `fs_${thumbprint.slice(0, 22)}`, publicKey };
}

/** Files of the key folder: the key that signs, and while keys change the next one or the one before, or its public half. */
export const SIGNING_KEY_FILES = {
  signs: 'signing-key.pem',
  next: 'signing-key-next.pem',
  previous: 'signing-key-previous.pem',
} as const;

/** Reads the keys of the folder; the one that signs is made (mode 0600) if there is none, once, whoever starts first. */
export async function signerFromFolder(folder: string): Promise<RowSigner> {
  return signerOf(folder, await readOrMakeKeyFile(join(folder, SIGNING_KEY_FILES.signs), newPem));
}

/** The same for whoever makes no key; undefined when the folder has none that signs, or does not exist. */
export async function signerIfThere(folder: string): Promise<RowSigner | undefined> {
  const pem = await readKeyFile(join(folder, SIGNING_KEY_FILES.signs));
  return pem === undefined ? undefined : signerOf(folder, pem);
}

async function signerOf(folder: string, pem: string): Promise<RowSigner> {
  const signs = await signingKeyFromPem(pem).catch(naming(join(folder, SIGNING_KEY_FILES.signs)));
  const others = await Promise.all(
    [SIGNING_KEY_FILES.next, SIGNING_KEY_FILES.previous].map((file) => keyIfThere(join(folder, file))),
  );
  return rowSigner(
    signs,
    others.filter((key) => key !== undefined && key.kid !== signs.kid).map((key) => key!),
  );
}

async function keyIfThere(path: string): Promise<KnownKey | undefined> {
  const pem = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (pem === undefined) return undefined;
  // Of a private key it is the public half.
  return (async () => knownKey(createPublicKey(pem)))().catch(naming(path));
}

const naming =
  (path: string) =>
  (error: Error): never => {
    throw new Error(`${path}: ${error.message}`);
  };

const newPem = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

const publicKeyOf = ({ publicKey: x }: KnownKey): KeyObject =>
  createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
