import type { KubeObject } from '@felucca/contract';
import { ApiError } from './api-error.ts';
import type { KubeClient, Patch } from './client.ts';
import type { Gvr } from './resources.ts';

const MAX_TRIES = 5;

/**
 * Adds or removes exactly one finalizer of a handler, and fails the patch when the list is not what we saw: replacing
 * the list would undo what others did to it meanwhile. Then it looks again and goes on, as the handler's own writes
 * change the object, too. Not for the reconcilers, which decide by what they have read (`reconcilers/finalizer.ts`).
 */
export async function addFinalizer<T extends KubeObject>(
  client: KubeClient,
  gvr: Gvr,
  object: T,
  finalizer: string,
): Promise<T | undefined> {
  return change(client, gvr, object, (finalizers) => {
    if (finalizers.includes(finalizer)) return undefined;
    if (finalizers.length === 0) return [{ op: 'add', path: '/metadata/finalizers', value: [finalizer] }];
    return [{ op: 'add', path: '/metadata/finalizers/-', value: finalizer }];
  });
}

/** Undefined when the object is gone, which removing the last finalizer may well do. */
export async function removeFinalizer<T extends KubeObject>(
  client: KubeClient,
  gvr: Gvr,
  object: T,
  finalizer: string,
): Promise<T | undefined> {
  return change(client, gvr, object, (finalizers) => {
    const index = finalizers.indexOf(finalizer);
    return index < 0 ? undefined : [{ op: 'remove', path: `/metadata/finalizers/${index}` }];
  });
}

async function change<T extends KubeObject>(
  client: KubeClient,
  gvr: Gvr,
  object: T,
  plan: (finalizers: readonly string[]) => object[] | undefined,
): Promise<T | undefined> {
  const { namespace, name, uid } = object.metadata;
  let current: T | undefined = object;
  for (let attempt = 1; current && current.metadata.uid === uid; attempt++) {
    const steps = plan(current.metadata.finalizers ?? []);
    if (!steps) return current;
    const guards = [
      { op: 'test', path: '/metadata/uid', value: uid },
      { op: 'test', path: '/metadata/resourceVersion', value: current.metadata.resourceVersion },
    ];
    try {
      const patch: Patch = [...guards, ...steps];
      return await client.patch<T>(gvr, namespace, name, patch);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 404) return undefined;
      // 422 is a `test` that failed, 409 a race below it: look again.
      if (![409, 422].includes(error.status) || attempt >= MAX_TRIES) throw error;
      current = await client.get<T>(gvr, namespace, name);
    }
  }
  return undefined;
}
