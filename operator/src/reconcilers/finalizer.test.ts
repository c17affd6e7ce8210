import { FINALIZER, type KubeObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { ClusterError, type ObjectRef } from './cluster.ts';
import { removeOurFinalizer } from './finalizer.ts';

const seen: KubeObject = {
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name: 'site', uid: 'one', resourceVersion: '5', finalizers: ['others/first', FINALIZER] },
};

/** Keeps one object as the API server does: a patch that names another version is a conflict. */
function storeOf(resourceVersion: string, finalizers: string[]) {
  const stored = { resourceVersion, finalizers };
  const mergePatch = async (_ref: ObjectRef, patch: Record<string, unknown>): Promise<never> => {
    const { metadata } = patch as { metadata: Partial<typeof stored> };
    if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== stored.resourceVersion)
      throw new ClusterError(409, 'the object has been modified');
    Object.assign(stored, metadata);
    return stored as never;
  };
  return { stored, mergePatch };
}

test('our finalizer goes and the others stay', async () => {
  const store = storeOf('5', ['others/first', FINALIZER]);
  await removeOurFinalizer(store, seen);
  expect(store.stored.finalizers).toEqual(['others/first']);
});

test('a finalizer that somebody added meanwhile is not lost: it is a conflict, and we look again', async () => {
  const store = storeOf('6', ['others/first', FINALIZER, 'others/second']);
  await expect(removeOurFinalizer(store, seen)).rejects.toMatchObject({ status: 409 });
  expect(store.stored.finalizers).toContain('others/second');
});
