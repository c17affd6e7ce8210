import { ANNOTATIONS, type InstanceObject } from '@felucca/contract';
import type { LiveObject } from '../cluster.ts';

/** What a look at the API server found still going away, and when to look again whatever the cache says. */
interface Look {
  /** An order that changed since is acted on at once, and so is somebody who asks for a look. */
  order: string;
  goingUids: ReadonlySet<string>;
  untilMs: number;
}
const MAX_INSTANCES = 100_000;

/**
 * Spares the API server the reads of a deletion that waits: most events of children that go away say only that they
 * are still going. A child that the cache still has is waited for; once none is left, and after a while in any case,
 * a quorum read decides.
 */
export class RemovalWatch {
  readonly #looks = new Map<string, Look>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** `afterMs`: when to look again although the cache still has one of those that are going. */
  looked({ metadata }: InstanceObject, going: readonly LiveObject[], afterMs: number): void {
    const uid = metadata.uid ?? '';
    this.#looks.delete(uid);
    const [first] = this.#looks.keys();
    if (this.#looks.size >= MAX_INSTANCES && first !== undefined) this.#looks.delete(first);
    this.#looks.set(uid, {
      order: orderOf(metadata),
      goingUids: new Set(going.flatMap((object) => object.metadata.uid ?? [])),
      untilMs: this.#nowMs() + afterMs,
    });
  }

  /** For how long a look would find nothing new, as far as the cached children tell; 0 when it is due. */
  waitMs({ metadata }: InstanceObject, children: Iterable<LiveObject>): number {
    const look = this.#looks.get(metadata.uid ?? '');
    if (!look || look.order !== orderOf(metadata)) return 0;
    for (const child of children)
      if (look.goingUids.has(child.metadata.uid ?? ''))
        return Math.max(0, Math.ceil(look.untilMs - this.#nowMs()));
    return 0;
  }

  /** The Instance is gone. */
  forget(uid: string): void {
    this.#looks.delete(uid);
  }
}

const orderOf = ({ generation, annotations }: InstanceObject['metadata']): string =>
  `${generation} ${annotations?.[ANNOTATIONS.reconcileRequestedAt] ?? ''}`;
