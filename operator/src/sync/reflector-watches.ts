import type { FeedKind } from '@felucca/contract';
import type { Reflector } from '../runtime/reflector.ts';
import { objectKey } from '../runtime/resources.ts';
import type { LiveObject } from './cluster.ts';
import type { KindWatch, Watches } from './watches.ts';

/** The runtime's warm caches as the sync and the reports see them. */
export function reflectorWatches(reflectors: Record<FeedKind, Reflector<LiveObject>>): Watches {
  const { DataPlane, Tenant, Blueprint, Instance } = reflectors;
  return {
    DataPlane: kindWatch(DataPlane),
    Tenant: kindWatch(Tenant),
    Blueprint: kindWatch(Blueprint),
    Instance: kindWatch(Instance),
  };
}

const kindWatch = (reflector: Reflector<LiveObject>): KindWatch => ({
  all: () => reflector.store.list(),
  get: (ref) => reflector.store.get(objectKey(ref)),
  listen: (listener) =>
    reflector.store.onEvent(({ type, object, before }) => {
      if (type === 'deleted') listener.removed(object);
      else listener.upserted(object, before);
    }),
  listedSince: (sinceMs, signal) => reflector.listedSince(sinceMs, signal),
});
