import type { BlueprintNode, DesiredChild, LiveObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { withGeneratedValues } from './generated-values.ts';

const node: BlueprintNode = {
  id: 'credentials',
  manifest: {},
  generate: [
    { key: 'password', length: 24 },
    { key: 'token', length: 32 },
  ],
};
const child = {
  object: {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'site-credentials' },
    data: { user: 'YXBw' },
  },
  hash: 'h1',
} as DesiredChild;
const withData = (data: Record<string, string>): LiveObject => ({ ...child.object, data }) as LiveObject;
const dataOf = (live?: LiveObject): Record<string, string> =>
  (withGeneratedValues(child, node, live).object as { data?: Record<string, string> }).data ?? {};
const lengthOf = (value = ''): number => Buffer.from(value, 'base64').length;

test('a value is made once: what is there is kept, what is missing is made', () => {
  const first = dataOf();
  expect([first.user, lengthOf(first.password), lengthOf(first.token)]).toEqual(['YXBw', 24, 32]);
  expect(dataOf(withData(first))).toEqual(first);
  const { password = '' } = first;
  const refilled = dataOf(withData({ password, token: '' }));
  expect(refilled.password).toBe(password);
  expect(lengthOf(refilled.token)).toBe(32);
});

test('two are never the same', () => {
  expect(dataOf().password).not.toBe(dataOf().password);
});
