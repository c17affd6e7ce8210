import { expect, test } from 'vitest';
import { createReplayCache } from './replay.ts';

const cache = (clock: { ms: number }, limits: { perKey?: number; inAll?: number } = {}) =>
  createReplayCache({ windowMs: 1_000, perKey: 3, inAll: 100, ...limits, now: () => clock.ms });

// Invariant L26.
test('an id is good once per key', () => {
  const ids = cache({ ms: 0 });
  expect(ids.use('k1', 'a')).toBe('fresh');
  expect(ids.use('k1', 'a')).toBe('replayed');
  expect(ids.use('k2', 'a')).toBe('fresh');
});

test('one busy key is refused at its bound and does not use up the room of others', () => {
  const ids = cache({ ms: 0 });
  for (const jti of ['a', 'b', 'c']) expect(ids.use('k1', jti)).toBe('fresh');
  expect(ids.use('k1', 'd')).toBe('full');
  expect(ids.use('k2', 'd')).toBe('fresh');
});

test('room comes back when the JWTs can no longer be valid', () => {
  const clock = { ms: 0 };
  const ids = cache(clock, { inAll: 2 });
  ids.use('k1', 'a');
  clock.ms = 500;
  ids.use('k1', 'b');
  expect(ids.use('k2', 'c')).toBe('full');
  clock.ms = 1_000;
  expect(ids.use('k2', 'c')).toBe('fresh');
  expect(ids.use('k1', 'b')).toBe('replayed');
});
