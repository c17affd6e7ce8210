import { isNotFound } from './api-error.ts';
import type { Gvr } from './resources.ts';

interface ResourceList {
  resources: { name: string; kind: string; namespaced: boolean }[];
}
const MAX_GROUPS = 1_000;

/** Kinds that are not in the table: asked per group version and remembered; a miss is asked again. */
export class Discovery {
  readonly #fetch: (path: string) => Promise<unknown>;
  readonly #groups = new Map<string, Promise<Map<string, Gvr>>>();

  constructor(fetch: (path: string) => Promise<unknown>) {
    this.#fetch = fetch;
  }

  async resolve(apiVersion: string, kind: string): Promise<Gvr | undefined> {
    const known = this.#groups.get(apiVersion);
    const found = (await known)?.get(kind);
    if (found) return found;
    // A CRD may have been installed since. Several that miss at once ask once.
    if (this.#groups.get(apiVersion) === known) {
      if (this.#groups.size >= MAX_GROUPS) this.#groups.clear();
      const asked = this.#ask(apiVersion);
      this.#groups.set(apiVersion, asked);
      asked.catch(() => {
        if (this.#groups.get(apiVersion) === asked) this.#groups.delete(apiVersion);
      });
    }
    return (await this.#groups.get(apiVersion))?.get(kind);
  }

  async #ask(apiVersion: string): Promise<Map<string, Gvr>> {
    const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
    const path = group ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    try {
      const { resources } = (await this.#fetch(path)) as ResourceList;
      const objects = resources.filter(({ name }) => !name.includes('/'));
      return new Map(
        objects.map(({ name, kind, namespaced }) => [
          kind,
          { group: group!, version: version!, resource: name, kind, namespaced },
        ]),
      );
    } catch (error) {
      if (isNotFound(error)) return new Map();
      throw error;
    }
  }
}
