import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signedBytes } from '@felucca/contract';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { rowSigner, SIGNING_KEY_FILES, signerFromFolder, signingKeyFromPem } from './signer.ts';

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
  const signer = await signerFromFolder(folder);
  const x = signer.publicKeys()[signer.kid] ?? '';
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  const signature = Buffer.from(await signer.sign(row), 'base64url');
  expect(verify(null, signedBytes(row), key, signature)).toBe(true);
  for (const other of [{ dataPlaneId: 'dp2' }, { generation: 4 }, { deleted: true }, { id: 'i2' }])
    expect(verify(null, signedBytes({ ...row, ...other }), key, signature)).toBe(false);
});

test('processes that start together share one key, readable by its owner alone', async () => {
  const state = join(folder, 'state');
  const signers = await Promise.all(Array.from({ length: 8 }, () => signerFromFolder(state)));
  expect(new Set(signers.map((signer) => signer.kid)).size).toBe(1);
  expect((await stat(join(state, SIGNING_KEY_FILES.signs))).mode & 0o777).toBe(0o600);
});

test('a key of another kind is refused with the remedy', async () => {
  const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  });
  await expect(signingKeyFromPem(pem.toString())).rejects.toThrow('openssl genpkey -algorithm ed25519');
});

const newPem = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

// Invariant L42.
test('while keys change there are two: one signs, and what either signed is known', async () => {
  const before = await signerFromFolder(folder);
  const old = await before.sign(row);
  const next = newPem();
  await writeFile(join(folder, SIGNING_KEY_FILES.next), next);
  const during = await signerFromFolder(folder);
  expect(during.kid).toBe(before.kid);
  expect(Object.keys(during.publicKeys())).toEqual([before.kid, (await signingKeyFromPem(next)).kid]);
  const after = rowSigner(await signingKeyFromPem(next), []);
  const fresh = await after.sign(row);
  expect(during.wasSigned(row, after.kid, fresh)).toBe(true);
  expect(during.wasSigned(row, before.kid, fresh)).toBe(false);
  expect(during.wasSigned(row, before.kid, old)).toBe(true);
  expect(after.wasSigned(row, before.kid, old)).toBe(false);
});

test('a service may hold the key, and is asked once for what does not change', async () => {
  const local = await signingKeyFromPem(newPem());
  let asked = 0;
  const signer = rowSigner({
    ...local,
    sign: async (bytes) => {
      asked += 1;
      await new Promise((resolve) => setImmediate(resolve));
      return local.sign(bytes);
    },
  });
  expect(signer.wasSigned(row, signer.kid, await signer.sign(row))).toBe(true);
  const outputs = [await signer.signOutputKey('dp', 'k'), await signer.signOutputKey('dp', 'k')];
  expect([outputs[0], asked]).toEqual([outputs[1], 2]);
  expect(await signer.signOutputKey('dp', 'k2')).not.toEqual(outputs[0]);
  const tenant = { ...row, kind: 'Tenant' as const, key: 'acme' };
  const before = asked;
  expect(await signer.sign(tenant)).toBe(await signer.sign(tenant));
  expect(asked).toBe(before + 1);
});

test('of a key that is lost its public half is enough to know what it signed', async () => {
  const lost = await signerFromFolder(folder);
  const sig = await lost.sign(row);
  const x = lost.publicKeys()[lost.kid] ?? '';
  const half = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  await rm(join(folder, SIGNING_KEY_FILES.signs));
  await writeFile(join(folder, SIGNING_KEY_FILES.previous), half.export({ type: 'spki', format: 'pem' }));
  const signer = await signerFromFolder(folder);
  expect(signer.kid).not.toBe(lost.kid);
  expect(signer.wasSigned(row, lost.kid, sig)).toBe(true);
});

test('a file that holds no key is named', async () => {
  await writeFile(join(folder, SIGNING_KEY_FILES.previous), 'nonsense');
  await expect(signerFromFolder(folder)).rejects.toThrow(/signing-key-previous\.pem: /);
});
