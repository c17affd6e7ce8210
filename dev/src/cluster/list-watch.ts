import { setTimeout as delay } from 'node:timers/promises';
import type { KubeApi } from './kube-api.ts';

interface ObjectList {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly unknown[];
}

const retryMs = 500;

/**
 * Calls `onObject` with every object of a collection, now and after each change, until aborted. Deleted objects
 * are not reported. Whatever goes wrong, it lists again: good enough for the few objects the stack looks after.
 */
export async function followCollection(
  api: KubeApi,
  path: string,
  onObject: (object: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const list = await api.get<ObjectList>(path);
      for (const item of list.items) onObject(item);
      await api.watch(
        `${path}?watch=true&resourceVersion=${list.metadata.resourceVersion}`,
        (event) => {
          if (event.type === 'ADDED' || event.type === 'MODIFIED') onObject(event.object);
        },
        signal,
      );
    } catch {
      // API server down or restarting: list again below.
    }
    await delay(retryMs, undefined, { signal }).catch(() => {});
  }
}
