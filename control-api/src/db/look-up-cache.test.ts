import { expect, test } from 'vitest';
import { createLookUpCache } from './look-up-cache.ts';

function stage(known: readonly string[], remembersMissing = true) {
  const looked: string[] = [];
  const state = { nowMs: 0, isFull: false, looked };
  const lookUp = createLookUpCache<string>({
    ttlMs: 1_000,
    remembersMissing,
    maxEntries: 3,
    nowMs: () => state.nowMs,
    admit: () => {
      if (state.isFull) throw new Error('too many');
    },
    find: async (id) => {
      looked.push(id);
      if (id === 'broken') throw new Error('away');
      return known.includes(id) ? `row of ${id}` : undefined;
    },
  });
  return { state, lookUp };
}

test('what was found, and that there is nothing, stays known for its time', async () => {
  const { state, lookUp } = stage(['a']);
  expect(await Promise.all([lookUp('a'), lookUp('a'), lookUp('b')])).toEqual([
    'row of a',
    'row of a',
    undefined,
  ]);
  expect([await lookUp('a'), await lookUp('b')]).toEqual(['row of a', undefined]);
  expect(state.looked).toEqual(['a', 'b']);
  state.nowMs = 1_000;
  await lookUp('a');
  expect(state.looked).toEqual(['a', 'b', 'a']);
});

test('that there is nothing is asked again where it is not to be remembered', async () => {
  const { state, lookUp } = stage(['a'], false);
  for (const id of ['a', 'b', 'a', 'b']) await lookUp(id);
  expect(state.looked).toEqual(['a', 'b', 'b']);
});

test('what is forgotten is asked again', async () => {
  const { state, lookUp } = stage(['a']);
  await lookUp('a');
  lookUp.forget('a');
  await lookUp('a');
  expect(state.looked).toEqual(['a', 'a']);
});

test('a failure is not remembered', async () => {
  const { state, lookUp } = stage([]);
  await expect(lookUp('broken')).rejects.toThrow('away');
  await expect(lookUp('broken')).rejects.toThrow('away');
  expect(state.looked).toHaveLength(2);
});

test('the oldest entry makes room', async () => {
  const { state, lookUp } = stage(['a']);
  for (const id of ['a', 'b', 'c', 'd', 'b', 'a']) await lookUp(id);
  expect(state.looked).toEqual(['a', 'b', 'c', 'd', 'a']);
});

test('a flood of unknown ids is refused, and who was good lately is not', async () => {
  const { state, lookUp } = stage(['a']);
  await lookUp('a');
  state.isFull = true;
  state.nowMs = 5_000;
  await expect(lookUp('x')).rejects.toThrow('too many');
  expect(await lookUp('a')).toBe('row of a');
});
