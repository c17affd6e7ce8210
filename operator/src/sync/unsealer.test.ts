import { padded, SEALING, type SealedContext, sealingJwk } from '@felucca/contract';
import { CompactEncrypt, importJWK } from 'jose';
import { describe, expect, test } from 'vitest';
import { keysInUse, readSealingKeys, rotateSealingKey, withNewSealingKey } from './sealing-keys.ts';
import { createUnsealer } from './unsealer.ts';

const JOINED = { dataPlaneId: 'dp1', dataPlaneName: 'dp', keyId: 'ok_1', signingKeys: {} };
const PLACE = { instance: 'i1', parameter: '/password' };
const CANARY = 'canary-of-the-test';

/** The identity Secret, in memory: what it is worth is what is written and read, not where it lies. */
function identity() {
  let stored = { data: withNewSealingKey({ 'link.json': JSON.stringify(JOINED) }), resourceVersion: '1' };
  return {
    reads: 0,
    async read() {
      this.reads += 1;
      return stored;
    },
    create: async () => false,
    async update(data: Record<string, string>) {
      stored = { data, resourceVersion: '2' };
      return true;
    },
    get newest() {
      return readSealingKeys(stored.data)[0]!;
    },
    set data(data: Record<string, string>) {
      stored = { data, resourceVersion: '3' };
    },
  };
}

async function seal(
  { kid, publicKey }: { kid: string; publicKey: string },
  context: Partial<SealedContext> = {},
) {
  const sealed = await new CompactEncrypt(padded(CANARY))
    .setProtectedHeader({
      ...SEALING,
      kid,
      fingerprint: 'f',
      context: { dataPlane: 'dp1', ...PLACE, ...context },
    })
    .encrypt(await importJWK(sealingJwk(publicKey), SEALING.alg));
  return { sealed };
}
const why = (opening: Promise<string>) => opening.then(String, (error: Error) => error.message);

// Invariant L37.
describe('a sealed value', () => {
  test('is opened where it belongs', async () => {
    const store = identity();
    expect(await createUnsealer(store)(await seal(store.newest), PLACE)).toBe(CANARY);
  });

  test.each([
    ['another Instance', { instance: 'i2' }],
    ['another parameter', { parameter: '/other' }],
    ['another data plane', { dataPlane: 'dp2' }],
  ])('of %s is not', async (_, context) => {
    const store = identity();
    expect(await why(createUnsealer(store)(await seal(store.newest, context), PLACE))).toBe('moved');
  });

  test('whose context was exchanged is not, nor one that was changed or cut', async () => {
    const store = identity();
    const open = createUnsealer(store);
    const { sealed } = await seal(store.newest);
    const [, ...rest] = sealed.split('.');
    const [otherHeader] = (await seal(store.newest, { instance: 'i2' })).sealed.split('.');
    for (const changed of [
      [otherHeader, ...rest].join('.'),
      `${sealed.slice(0, -2)}AA`,
      sealed.slice(0, -4),
      'eyJ',
    ])
      expect(await why(open({ sealed: changed }, { ...PLACE, instance: 'i2' }))).toBe('changed');
  });

  test('says so when its key is not here', async () => {
    const stranger = identity();
    expect(await why(createUnsealer(identity())(await seal(stranger.newest), PLACE))).toBe('unknownKey');
  });

  test('is opened with a key that another process has made meanwhile, and with the former ones', async () => {
    const store = identity();
    const open = createUnsealer(store);
    const old = await seal(store.newest);
    await open(old, PLACE);
    await rotateSealingKey(store);
    expect(await open(await seal(store.newest), PLACE)).toBe(CANARY);
    const { reads } = store;
    expect(await open(old, PLACE)).toBe(CANARY);
    expect(store.reads).toBe(reads);
    for (let i = 0; i < 6; i += 1) await rotateSealingKey(store);
    const inUse = keysInUse([{ parameters: { a: [old] } }]);
    await expect(rotateSealingKey(store, inUse)).rejects.toThrow(/send them again/);
    expect(await open(old, PLACE)).toBe(CANARY);
    await rotateSealingKey(store);
    expect(await why(createUnsealer(store)(old, PLACE))).toBe('unknownKey');
  });

  test('waits when the keys cannot be read, and no error quotes them', async () => {
    const store = identity();
    const sealed = await seal(store.newest);
    store.data = { 'sealing-keys.json': `{"keys":[{"d":"${CANARY}"` };
    const error = await createUnsealer(store)(sealed, PLACE).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ isPassing: true, message: expect.stringContaining('put it back') });
    expect(JSON.stringify([error, (error as Error).message, (error as Error).stack])).not.toContain(CANARY);
  });
});
