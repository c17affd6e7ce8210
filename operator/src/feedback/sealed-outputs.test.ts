import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { sealedOutputHeaderSchema, unpadded } from '@felucca/contract';
import { compactDecrypt } from 'jose';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import type { LiveObject, SecretObject } from '../sync/cluster.ts';
import { SealedOutputs } from './sealed-outputs.ts';

const CANARY = 'canary-of-the-test';

function keyPair(): { x: string; privateKey: KeyObject } {
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  return { privateKey, x: publicKey.export({ format: 'jwk' }).x ?? '' };
}
const instance = (status: object = {}, uid = 'u1'): LiveObject => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name: 'db', namespace: 'tenant-acme', uid, generation: 1 },
  spec: {},
  status: {
    observedGeneration: 1,
    desired: { id: 'i1', generation: 1, digest: '', kid: '', signature: '' },
    outputs: { password: { secretRef: { name: 'db-secret', key: 'pw' } }, text: { value: 'x' } },
    inventory: [{ kind: 'Secret', name: 'db-secret', uid: 's1' }],
    ...status,
  },
});
const secret = (value: string, uid = 's1'): SecretObject => ({
  metadata: { name: 'db-secret', uid },
  data: { pw: Buffer.from(value).toString('base64') },
});

/** With Secrets that a test says. */
function stage(read: () => SecretObject | undefined) {
  let reads = 0;
  const said: Record<string, string>[] = [];
  const outputs: SealedOutputs = new SealedOutputs({
    dataPlaneId: 'dp1',
    readSecret: async () => {
      reads += 1;
      return read();
    },
    onSealed: ({ metadata }) => said.push(outputs.told(metadata.uid ?? '') ?? {}),
    log: pino({ level: 'silent' }),
    retryMs: 1,
  });
  const looked = async (told: number): Promise<void> => {
    outputs.look(instance());
    await outputs.idle();
    expect(said).toHaveLength(told);
  };
  return { outputs, said, looked, reads: () => reads };
}

// Invariant L38.
describe('a sensitive output', () => {
  test('is sealed to the key of the control plane, for its Instance and its name', async () => {
    const { outputs, said, looked } = stage(() => secret(CANARY));
    const { x, privateKey } = keyPair();
    outputs.setKey(x);
    await looked(1);
    expect(Object.keys(said[0]!)).toEqual(['password']);
    const { plaintext, protectedHeader } = await compactDecrypt(said[0]!['password']!, privateKey);
    expect(unpadded(plaintext)).toBe(CANARY);
    expect(sealedOutputHeaderSchema.parse(protectedHeader).context).toEqual({
      dataPlane: 'dp1',
      instance: 'i1',
      output: 'password',
    });
  });

  test('is told once, and again when it or the key has changed', async () => {
    let value = CANARY;
    const { outputs, looked } = stage(() => secret(value));
    const { x } = keyPair();
    expect(outputs.setKey(x)).toBe(true);
    expect(outputs.setKey(x)).toBe(false);
    await looked(1);
    await looked(1);
    value = 'another';
    await looked(2);
    outputs.setKey(keyPair().x);
    expect(outputs.told('u1')).toBeUndefined();
    await looked(3);
  });

  test.each<[string, SecretObject | undefined]>([
    ['a Secret that somebody else has put there', secret(CANARY, 's2')],
    ['no Secret', undefined],
    ['a value that is too long', secret('x'.repeat(8 * 1024 + 1))],
  ])('is none of %s', async (_, found) => {
    const { outputs, looked } = stage(() => found);
    outputs.setKey(keyPair().x);
    await looked(0);
  });

  test.each<[string, LiveObject]>([
    ['that nobody ordered through the control plane', instance({ desired: undefined })],
    ['whose status is of an older spec', instance({ observedGeneration: 0 })],
    ['without one', instance({ outputs: { text: { value: 'x' } } })],
  ])('is not looked for of an Instance %s', async (_, object) => {
    const { outputs, reads } = stage(() => secret(CANARY));
    outputs.setKey(keyPair().x);
    outputs.look(object);
    await outputs.idle();
    expect(reads()).toBe(0);
  });

  test('is looked for again when its Secret could not be read', async () => {
    let fails = true;
    const { outputs, said, looked } = stage(() => {
      if (!fails) return secret(CANARY);
      fails = false;
      throw new Error('away');
    });
    outputs.setKey(keyPair().x);
    await looked(0);
    while (said.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    outputs.stop();
  });
});
