import type { BlueprintSpec, InstanceObject, SealedValue } from '@felucca/contract';
import { expect, test } from 'vitest';
import type { LiveObject } from '../cluster.ts';
import type { InstanceContext } from './context.ts';
import { CannotOpen, openParameters } from './open-parameters.ts';

const CANARY = 'canary-of-the-test';
const SEALED: SealedValue = { sealed: `eyJa..${'A'.repeat(16)}.AA.${'A'.repeat(22)}` };
const REFERENCE = { secretRef: { name: 'given', key: 'pw' } };
const spec = (maxLength = 64) =>
  ({
    parameters: { type: 'object', properties: { password: { type: 'string', sensitive: true, maxLength } } },
  }) as unknown as BlueprintSpec;
const instance = {
  metadata: { name: 'db', namespace: 'tenant-acme' },
  status: { desired: { id: 'i1' } },
} as unknown as InstanceObject;

type Context = Pick<InstanceContext, 'cluster' | 'open'>;
const context = (open: Context['open'], secret?: Partial<LiveObject>): Context => ({
  cluster: { read: async () => secret } as unknown as Context['cluster'],
  open,
});
const opens: Context['open'] = async (_, { instance: id, parameter }) => `${CANARY} ${id} ${parameter}`;
const open = (password: unknown, of = context(opens), schema = spec()) =>
  openParameters(of, instance, schema, { password });

test('a sealed value is opened for this Instance and this parameter, and stays sealed for everything else', async () => {
  expect(await open(SEALED)).toEqual({
    opened: { password: `${CANARY} i1 /password` },
    parameters: { password: SEALED },
  });
});

test.each(['unknownKey', 'changed', 'moved'] as const)(
  'one that cannot be opened (%s) is named, with what to do, and nothing helps until somebody does',
  async (why) => {
    const refused = open(
      SEALED,
      context(() => Promise.reject(new CannotOpen(why))),
    );
    await expect(refused).rejects.toMatchObject({
      reason: 'SealedValueRefused',
      comesByItself: false,
      message: expect.stringMatching(/^parameter \/password .*send the value again through the API/),
    });
  },
);

test('a value that a later version does not take is refused without being told', async () => {
  const refused = open(SEALED, context(opens), spec(8));
  await expect(refused).rejects.toMatchObject({
    reason: 'ParametersInvalid',
    message: '/password must have at most 8 characters: shorten the value',
  });
});

test('a value of a Secret is another one as soon as the Secret is', async () => {
  const secret = (resourceVersion: string) =>
    context(opens, {
      metadata: { name: 'given', uid: 'u', resourceVersion },
      data: { pw: Buffer.from(CANARY).toString('base64') },
    });
  const [one, same, other] = await Promise.all(
    ['1', '1', '2'].map((version) => open(REFERENCE, secret(version))),
  );
  expect(one?.opened).toEqual({ password: CANARY });
  expect(JSON.stringify(one?.parameters)).not.toContain(CANARY);
  expect(same?.parameters).toEqual(one?.parameters);
  expect(other?.parameters).not.toEqual(one?.parameters);
});

test.each([
  ['a Secret', undefined, /does not exist/],
  ['its key', { metadata: { name: 'given' }, data: { other: '' } }, /has no such key/],
])('%s that is not there is waited for', async (_, secret, message) => {
  await expect(open(REFERENCE, context(opens, secret))).rejects.toMatchObject({
    reason: 'SecretNotFound',
    comesByItself: true,
    message: expect.stringMatching(message),
  });
});
