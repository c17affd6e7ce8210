import type { KubeObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { OwnWrites } from './own-writes.ts';

const at = (resourceVersion: string, uid = 'one'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: 'default', name: 'own', uid, resourceVersion },
});

test.each([
  ['an older object is not acted on', at('9'), at('10'), at('10')],
  ['beyond what a number holds', at('9007199254740992'), at('9007199254740993'), at('9007199254740993')],
  ['a newer object has our write in it', at('11'), at('10'), at('11')],
  ['another object has the name now', at('5', 'two'), at('10'), at('5', 'two')],
])('a cache beside our own write: %s', (_, cached, written, newest) => {
  const writes = new OwnWrites();
  writes.remember(written);
  expect(writes.newest(cached)).toEqual(newest);
});

test('what the cache has caught up with, or what was forgotten, does not count any more', () => {
  const writes = new OwnWrites();
  writes.remember(at('10'));
  writes.newest(at('11'));
  expect(writes.newest(at('9'))).toEqual(at('9'));
  writes.remember(at('10'));
  writes.forget(at('9'));
  expect(writes.newest(at('9'))).toEqual(at('9'));
});
