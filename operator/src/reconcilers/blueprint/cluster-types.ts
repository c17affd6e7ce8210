import { type KubernetesTypes, kubernetesTypes, OPENAPI_PATHS } from '@felucca/contract';
import { ClusterError, type ReconcilerCluster } from '../cluster.ts';

/** A cluster changes its types when it is upgraded; the documents have some megabytes. */
const FRESH_MS = 3_600_000;

/** What this cluster says about the kinds of children, read when it is first needed and kept for an hour. */
export class ClusterTypes {
  readonly #cluster: Pick<ReconcilerCluster, 'openApi'>;
  readonly #nowMs: () => number;
  #known: { types: Promise<KubernetesTypes>; sinceMs: number } | undefined;

  constructor(cluster: Pick<ReconcilerCluster, 'openApi'>, nowMs: () => number = () => performance.now()) {
    this.#cluster = cluster;
    this.#nowMs = nowMs;
  }

  /** Undefined when the API server does not say it now. */
  async get(): Promise<KubernetesTypes | undefined> {
    if (!this.#known || this.#nowMs() - this.#known.sinceMs > FRESH_MS)
      this.#known = { types: this.#read(), sinceMs: this.#nowMs() };
    try {
      return await this.#known.types;
    } catch (error) {
      this.#known = undefined;
      if (error instanceof ClusterError) return undefined;
      throw error;
    }
  }

  async #read(): Promise<KubernetesTypes> {
    const known = { kinds: {}, types: {} };
    // One after the other: each is complete in itself, and parsed it takes some ten megabytes.
    for (const path of OPENAPI_PATHS) {
      const { kinds, types } = kubernetesTypes([await this.#cluster.openApi(path)]);
      Object.assign(known.kinds, kinds);
      Object.assign(known.types, types);
    }
    return known;
  }
}
