import { expect, test } from 'vitest';
import { age, withoutAges } from './age.ts';
import { table } from './table.ts';

const NOW = new Date('2026-01-01T01:00:00Z');
const ago = (seconds: number): string => age(new Date(NOW.getTime() - seconds * 1000), NOW);
const SECONDS = [0, 5, 119, 125, 600, 3600, 4 * 3600 + 120, 30 * 3600, 3 * 86_400, 90 * 86_400, 800 * 86_400];

test.each(SECONDS)('two pictures that differ in an age alone are the same: %s s', (seconds) => {
  const picture = (text: string) => withoutAges(table(['AGE', 'MESSAGE'], [[text, 'is Ready']]));
  expect(picture(ago(seconds))).toBe(picture(ago(7)));
});

test.each([
  ['0 of 3 replicas', '1 of 3 replicas'],
  ['revision 12', 'revision 13'],
  ['demo 1.0.0', 'demo 1.1.0'],
  ['pod web-5d', 'pod web-6d'],
])('%s and %s are not', (before, after) => {
  expect(withoutAges(before)).not.toBe(withoutAges(after));
});
