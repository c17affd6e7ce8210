import type { InstanceObject } from '@felucca/contract';
import { objectKey } from '../runtime/resources.ts';
import type { Store } from '../runtime/store.ts';

/** The key of an Instance by its UID, kept from the cache's events: a look-up costs no scan of 10,000 Instances. */
export class InstanceKeys {
  readonly #byUid = new Map<string, string>();

  constructor(instances: Pick<Store<InstanceObject>, 'list' | 'onEvent'>) {
    for (const { metadata } of instances.list())
      if (metadata.uid) this.#byUid.set(metadata.uid, objectKey(metadata));
    instances.onEvent(({ type, key, object: { metadata } }) => {
      if (!metadata.uid) return;
      if (type === 'deleted') this.#byUid.delete(metadata.uid);
      else this.#byUid.set(metadata.uid, key);
    });
  }

  of(uid: string): string | undefined {
    return this.#byUid.get(uid);
  }
}
