import type { Json, KubeObject, Rig } from '../rig.ts';
import { kindOf, objectKey } from '../rig.ts';

const API = 'felucca.dev/v1alpha1';
const INSTANCE = 'main';

/** One tenant of its own for one case, and what its people do with kubectl. */
export class Actor {
  /** Appears in every name of the case and nowhere else. */
  readonly id: string;
  readonly #rig: Rig;

  constructor(rig: Rig, id: string) {
    this.#rig = rig;
    this.id = id;
  }

  get namespace(): string {
    return `tenant-${this.id}`;
  }

  object(apiVersion: string, kind: string, name: string): KubeObject {
    const { namespaced } = kindOf(apiVersion, kind);
    return { apiVersion, kind, metadata: namespaced ? { name, namespace: this.namespace } : { name } };
  }

  readonly child = (apiVersion: string, kind: string, node: string): KubeObject =>
    this.object(apiVersion, kind, `${INSTANCE}-${node}`);

  get tenant(): KubeObject {
    return this.object(API, 'Tenant', this.id);
  }

  get instance(): KubeObject {
    return this.object(API, 'Instance', INSTANCE);
  }

  /** Of who publishes one himself. */
  get blueprint(): KubeObject {
    return this.object(API, 'Blueprint', `${this.id}-1-0-0`);
  }

  live(object: KubeObject): Json | undefined {
    const { namespace, name } = object.metadata;
    return this.#rig.observer.get(objectKey(kindOf(object.apiVersion, object.kind), namespace, name));
  }

  isGone(object: KubeObject): boolean {
    return this.live(object) === undefined;
  }

  isReady(object: KubeObject, reason?: string): boolean {
    return this.says(object, 'Ready', 'True', reason);
  }

  /** A condition about the spec as it is now. */
  says(object: KubeObject, type: string, status: string, reason?: string): boolean {
    const live = this.live(object);
    if (live === undefined || live.status?.observedGeneration !== live.metadata.generation) return false;
    return (live.status.conditions ?? []).some(
      (condition: Json) =>
        condition.type === type &&
        condition.status === status &&
        (reason === undefined || condition.reason === reason),
    );
  }

  until(what: string, probe: () => boolean): Promise<boolean> {
    return this.#rig.observer.until(what, probe, 30_000);
  }

  async apply(object: KubeObject): Promise<void> {
    await this.#rig.admin.apply(object);
  }

  async delete(object: KubeObject): Promise<void> {
    await this.#rig.admin.delete(object);
  }

  /** Of an object that may be gone by now: then there is nothing to patch. */
  async patch(object: KubeObject, patch: unknown): Promise<void> {
    await this.#rig.admin.patch(object, patch).catch((error: Error) => {
      if (!error.message.includes(' 404 ')) throw error;
    });
  }

  async joins(spec: Json = {}): Promise<void> {
    await this.apply({ ...this.tenant, spec });
  }

  async orders(blueprint: string, parameters: Json = {}, more: Json = {}): Promise<void> {
    const [name, version] = blueprint.split('@');
    await this.apply({ ...this.instance, spec: { blueprintRef: { name, version }, parameters, ...more } });
  }

  async change(spec: Json): Promise<void> {
    await this.patch(this.instance, { spec });
  }
}
