import { setTimeout as sleep } from 'node:timers/promises';
import { FEED_KINDS, type FeedKind } from '@felucca/contract';
import { isOlder, objectKey } from '../runtime/resources.ts';
import type { LiveObject, SyncCluster } from './cluster.ts';
import type { KindWatch, Watches } from './watches.ts';

export interface CatchUpOptions {
  timeoutMs?: number;
  /** What the caches were waited for may have changed again, or be gone, after this long. */
  relistMs?: number;
  /** A cache that is behind for this long is not late but wrong: its watch lists again. Twice as long the next time. */
  distrustMs?: number;
  /**
   * Nobody led from this time of the process' clock until we were elected: a cache that was listed since then shows
   * all there is to catch up with. Default: that is not known of any.
   */
  unheldSinceMs?: number;
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
  const { timeoutMs = 120_000, unheldSinceMs = Number.POSITIVE_INFINITY, signal } = options;
  const deadlineMs = performance.now() + timeoutMs;
  const lists = {} as Record<FeedKind, LiveObject[]>;
  for (const kind of FEED_KINDS) {
    if (watches[kind].listedMs() >= unheldSinceMs) {
      lists[kind] = watches[kind].all();
      continue;
    }
    let patienceMs = options.distrustMs ?? 10_000;
    let distrustMs = performance.now() + patienceMs;
    for (;;) {
      lists[kind] = await cluster.list(kind);
      const behind = await behindAfterAWhile(watches[kind], lists[kind], options);
      if (behind === undefined) break;
      if (signal?.aborted) return lists;
      if (performance.now() >= deadlineMs)
        throw new Error(
          `the watch of ${kind} is behind the API server for ${timeoutMs / 1000} s: ${behind}; may the operator watch it?`,
        );
      if (performance.now() < distrustMs) continue;
      watches[kind].listAgain(behind);
      patienceMs *= 2;
      distrustMs = performance.now() + patienceMs;
    }
  }
  return lists;
}

async function behindAfterAWhile(
  watch: KindWatch,
  list: LiveObject[],
  { relistMs = 2_000, signal }: CatchUpOptions,
): Promise<string | undefined> {
  const untilMs = performance.now() + relistMs;
  for (;;) {
    const behind = difference(watch, list);
    if (behind === undefined || performance.now() >= untilMs || signal?.aborted) return behind;
    await sleep(LOOK_EVERY_MS);
  }
}

/** Undefined when the cache shows all of the list. */
function difference(watch: KindWatch, list: LiveObject[]): string | undefined {
  const listed = new Set<string | undefined>();
  for (const { metadata } of list) {
    listed.add(metadata.uid);
    const cached = watch.get(metadata)?.metadata;
    const { resourceVersion = '0' } = metadata;
    if (!cached || isOlder(cached.resourceVersion ?? '0', resourceVersion))
      return `${objectKey(metadata)} has version ${resourceVersion}, in the cache ${cached?.resourceVersion ?? 'it is missing'}`;
  }
  // Gone from the list; what was created since then is shown by the next one.
  const gone = watch.all().find(({ metadata }) => !listed.has(metadata.uid));
  return (
    gone &&
    `${objectKey(gone.metadata)} is gone, in the cache it has version ${gone.metadata.resourceVersion}`
  );
}
