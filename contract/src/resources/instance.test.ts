import { expect, test } from 'vitest';
import { instanceStatusSchema, requestName } from './instance.ts';

test('a request to reconcile is called by its text, and a long one by a short name that no other request has', () => {
  const longest = 'x'.repeat(256 << 10);
  const requests = ['', '2026-11-26T12:00:00.000Z', 'x'.repeat(128), 'x'.repeat(129), longest, `${longest}y`];
  const names = requests.map(requestName);
  expect(names.slice(0, 3)).toEqual(requests.slice(0, 3));
  expect(new Set(names).size).toBe(requests.length);
  for (const lastHandledReconcileAt of names)
    expect(instanceStatusSchema.safeParse({ observedGeneration: 1, lastHandledReconcileAt }).success).toBe(
      true,
    );
});
