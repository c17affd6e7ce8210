import { collectionPath } from '../rig/kinds.ts';
import { type Json, type KubeObject, kindOf, objectKey, type Rig } from '../rig.ts';

const API_VERSION = 'felucca.dev/v1alpha1';

/** What the API server said to a write. */
export interface Answer {
  readonly accepted: boolean;
  readonly status: number;
  /** Its own words, for the one who asked. */
  readonly message: string;
  readonly generation: number;
  readonly uid: string;
}

/** One of our own objects. */
export interface Target {
  readonly kind: 'Instance' | 'Tenant' | 'Blueprint' | 'DataPlane';
  readonly namespace?: string;
  readonly name: string;
}

/** Writes specs as a person with kubectl does: unknown fields are refused, not dropped. */
export class Administrator {
  readonly #rig: Rig;

  constructor(rig: Rig) {
    this.#rig = rig;
  }

  create(target: Target, spec: unknown): Promise<Answer> {
    const { kind, ...metadata } = target;
    const object = { apiVersion: API_VERSION, kind, metadata, spec };
    return this.#ask('POST', `${collection(target)}?fieldValidation=Strict`, object);
  }

  /** The whole spec at once, whatever the operator writes meanwhile. */
  replaceSpec(target: Target, spec: unknown): Promise<Answer> {
    const patch = [{ op: 'add', path: '/spec', value: spec ?? null }];
    const path = `${collection(target)}/${target.name}?fieldValidation=Strict`;
    return this.#ask('PATCH', path, patch, 'application/json-patch+json');
  }

  remove(target: Target): Promise<void> {
    return this.#rig.admin.delete(asObject(target));
  }

  get({ kind, namespace, name }: Target): KubeObject | undefined {
    return this.#rig.observer.get(objectKey(kindOf(API_VERSION, kind), namespace, name));
  }

  async #ask(method: string, path: string, body: unknown, contentType?: string): Promise<Answer> {
    const { status, body: reply } = await this.#rig.admin.call(method, path, body, contentType);
    return {
      accepted: status < 300,
      status,
      message: reply.message ?? '',
      generation: reply.metadata?.generation ?? 0,
      uid: reply.metadata?.uid ?? '',
    };
  }
}

const collection = ({ kind, namespace }: Target): string =>
  collectionPath(kindOf(API_VERSION, kind), namespace);

const asObject = ({ kind, ...metadata }: Target): KubeObject => ({ apiVersion: API_VERSION, kind, metadata });

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}
export const conditionOf = (object: KubeObject | undefined, type: string): Condition | undefined =>
  object?.['status']?.conditions?.find((condition: Json) => condition.type === type);
