import { expect, test } from 'vitest';
import { batchedLookUp } from './batched-look-up.ts';

test('look-ups that come together are one, those that come meanwhile the next, and each gets its own answer', async () => {
  const asked: string[][] = [];
  const lookUp = batchedLookUp<string>(async (ids) => {
    asked.push(ids);
    await new Promise((resolve) => setTimeout(resolve, 5));
    return new Map(ids.filter((id) => id !== 'none').map((id) => [id, `row of ${id}`]));
  }, 3);
  const first = Promise.all(['a', 'b', 'a', 'c', 'none'].map(lookUp));
  await new Promise((resolve) => setTimeout(resolve, 2));
  const later = lookUp('d');
  expect(await first).toEqual(['row of a', 'row of b', 'row of a', 'row of c', undefined]);
  expect(await later).toBe('row of d');
  expect(asked).toEqual([
    ['a', 'b'],
    ['c', 'none', 'd'],
  ]);
});

test('a failure is told to those whose look-up it was, and to no other', async () => {
  let fails = true;
  const lookUp = batchedLookUp<string>(async (ids) => {
    if (fails) throw new Error('the database is away');
    return new Map(ids.map((id) => [id, id]));
  });
  await expect(lookUp('a')).rejects.toThrow('the database is away');
  fails = false;
  expect(await lookUp('a')).toBe('a');
});
