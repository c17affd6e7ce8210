/**
 * Waits for all also when one fails: a write that is still under way could overtake those of the next reconcile.
 * @throws what the first of them threw
 */
export async function allEnded<T>(writes: Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(writes);
  return Promise.all(writes);
}
