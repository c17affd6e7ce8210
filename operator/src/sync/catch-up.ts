import { setTimeout as sleep } from 'node:timers/promises';
import { FEED_KINDS, type FeedKind } from '@felucca/contract';
import { isOlder } from '../runtime/resources.ts';
import type { LiveObject, SyncCluster } from './cluster.ts';
import type { KindWatch, Watches } from './watches.ts';

export interface CatchUpOptions {
  timeoutMs?: number;
  /** What the caches were waited for may have changed again, or be gone, after this long. */
  relistMs?: number;
  signal?: AbortSignal;
}

const LOOK_EVERY_MS = 50;

/**
 * What the cluster holds now, once the caches show it too. A standby's watch may be in a backoff when it is
 * elected; who acted on its cache would undo what the leader before it did.
 * @throws when a cache stays behind for longer than the timeout.
 */
export async function caughtUp(
  cluster: Pick<SyncCluster, 'list'>,
  watches: Watches,
  options: CatchUpOptions = {},
): Promise<Record<FeedKind, LiveObject[]>> {
  const { timeoutMs = 120_000 } = options;
  const deadlineMs = performance.now() + timeoutMs;
  const lists = {} as Record<FeedKind, LiveObject[]>;
  for (const kind of FEED_KINDS) {
    lists[kind] = await cluster.list(kind);
    while (!(await soonShown(watches[kind], lists[kind], options))) {
      if (options.signal?.aborted) return lists;
      if (performance.now() >= deadlineMs)
        throw new Error(
          `the watch of ${kind} is behind the API server for ${timeoutMs / 1000} s; may the operator watch it?`,
        );
      lists[kind] = await cluster.list(kind);
    }
  }
  return lists;
}

async function soonShown(
  watch: KindWatch,
  list: LiveObject[],
  { relistMs = 2_000, signal }: CatchUpOptions,
): Promise<boolean> {
  const untilMs = performance.now() + relistMs;
  while (!isShown(watch, list)) {
    if (performance.now() >= untilMs || signal?.aborted) return false;
    await sleep(LOOK_EVERY_MS);
  }
  return true;
}

function isShown(watch: KindWatch, list: LiveObject[]): boolean {
  const listed = new Set<string | undefined>();
  for (const { metadata } of list) {
    listed.add(metadata.uid);
    const cached = watch.get(metadata)?.metadata;
    if (!cached || isOlder(cached.resourceVersion ?? '0', metadata.resourceVersion ?? '0')) return false;
  }
  // Gone from the list; what was created since then is shown by the next one.
  return watch.all().every(({ metadata }) => listed.has(metadata.uid));
}
