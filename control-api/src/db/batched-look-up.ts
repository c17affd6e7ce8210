/**
 * Look-ups that come while another one is under way share the next: 10,000 operators that come back together are a few
 * statements and not 10,000.
 */
export function batchedLookUp<T>(
  find: (ids: string[]) => Promise<ReadonlyMap<string, T>>,
  batch = 500,
): (id: string) => Promise<T | undefined> {
  interface Waiting {
    id: string;
    resolve: (found: T | undefined) => void;
    reject: (error: Error) => void;
  }
  let waiting: Waiting[] = [];
  let running = false;
  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      const some = waiting.slice(0, batch);
      waiting = waiting.slice(batch);
      await find([...new Set(some.map(({ id }) => id))]).then(
        (found) => {
          for (const { id, resolve } of some) resolve(found.get(id));
        },
        (error: Error) => {
          for (const { reject } of some) reject(error);
        },
      );
    }
    running = false;
  };
  return (id) =>
    new Promise((resolve, reject) => {
      waiting.push({ id, resolve, reject });
      if (running) return;
      running = true;
      setImmediate(run);
    });
}
