import type { KubeObject } from '@felucca/contract';
import { isOlder } from '../../runtime/resources.ts';

const MAX_OBJECTS = 100_000;

/**
 * What we wrote last, until the watch has shown it: a reconcile never acts on an object that is older
 * than its own writes.
 */
export class OwnWrites {
  readonly #objects = new Map<string, KubeObject>();

  remember(object: KubeObject): void {
    const key = keyOf(object);
    this.#objects.delete(key);
    this.#objects.set(key, object);
    const [first] = this.#objects.keys();
    if (this.#objects.size > MAX_OBJECTS && first !== undefined) this.#objects.delete(first);
  }

  /** The newer of the cached object and our own write. */
  newest<T extends KubeObject>(cached: T): T {
    const key = keyOf(cached);
    const written = this.#objects.get(key);
    if (!written) return cached;
    if (written.metadata.uid === cached.metadata.uid && isOlder(versionOf(cached), versionOf(written)))
      return written as T;
    this.#objects.delete(key);
    return cached;
  }

  forget(object: KubeObject): void {
    this.#objects.delete(keyOf(object));
  }
}

const versionOf = ({ metadata }: KubeObject): string => metadata.resourceVersion ?? '0';
const keyOf = (object: KubeObject): string =>
  `${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`;
