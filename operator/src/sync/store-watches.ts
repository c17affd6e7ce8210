import type { FeedKind } from '@felucca/contract';
import { objectKey } from '../runtime/resources.ts';
import type { Store } from '../runtime/store.ts';
import type { LiveObject } from './cluster.ts';
import type { KindWatch, Watches } from './watches.ts';

/** The runtime's warm caches as the sync and the reports see them. */
export function storeWatches(stores: Record<FeedKind, Store<LiveObject>>): Watches {
  const { DataPlane, Tenant, Blueprint, Instance } = stores;
  return {
    DataPlane: kindWatch(DataPlane),
    Tenant: kindWatch(Tenant),
    Blueprint: kindWatch(Blueprint),
    Instance: kindWatch(Instance),
  };
}

const kindWatch = (store: Store<LiveObject>): KindWatch => ({
  all: () => store.list(),
  get: (ref) => store.get(objectKey(ref)),
  listen: (listener) =>
    store.onEvent(({ type, object, before }) => {
      if (type === 'deleted') listener.removed(object);
      else listener.upserted(object, before);
    }),
});
