import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signedBytes } from '@felucca/contract';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { signerFromFile, signerFromPem } from './signer.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'felucca-signer-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const row = {
  dataPlaneId: 'dp',
  kind: 'Instance' as const,
  key: 'acme/db',
  id: 'i1',
  generation: 3,
  hash: `sha256:${'0'.repeat(64)}`,
  deleted: false,
};

// Invariant L24.
test('a signature verifies with the published key, and only for this row and data plane', async () => {
  const signer = await signerFromFile(join(folder, 'key.pem'));
  const x = signer.publicKeys()[signer.kid] ?? '';
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  const signature = Buffer.from(signer.sign(row), 'base64url');
  expect(verify(null, signedBytes(row), key, signature)).toBe(true);
  for (const other of [{ dataPlaneId: 'dp2' }, { generation: 4 }, { deleted: true }, { id: 'i2' }])
    expect(verify(null, signedBytes({ ...row, ...other }), key, signature)).toBe(false);
});

test('processes that start together share one key, readable by its owner alone', async () => {
  const path = join(folder, 'state', 'key.pem');
  const signers = await Promise.all(Array.from({ length: 8 }, () => signerFromFile(path)));
  expect(new Set(signers.map((signer) => signer.kid)).size).toBe(1);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('a key of another kind is refused with the remedy', async () => {
  const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  });
  await expect(signerFromPem(pem.toString())).rejects.toThrow('openssl genpkey -algorithm ed25519');
});
