import { FIELD_MANAGERS, FINALIZER, type KubeObject } from '@felucca/contract';
import { ClusterError, type LiveObject, type ReconcilerCluster, refOf } from './cluster.ts';

export const hasFinalizer = ({ metadata }: KubeObject): boolean =>
  metadata.finalizers?.includes(FINALIZER) ?? false;

/** Written before the first child exists: from then on nothing can be left behind. */
export async function addOurFinalizer(
  cluster: Pick<ReconcilerCluster, 'apply'>,
  object: KubeObject,
): Promise<void> {
  if (!hasFinalizer(object)) await applyFinalizer(cluster, object, {});
}

/** The finalizer and our annotations in one request; what is left out of `annotations` we give up. */
export async function applyFinalizer(
  cluster: Pick<ReconcilerCluster, 'apply'>,
  object: KubeObject,
  annotations: Record<string, string>,
): Promise<LiveObject> {
  const { apiVersion, kind } = object;
  const { name, namespace, uid } = object.metadata;
  const metadata = {
    name,
    ...(namespace ? { namespace } : {}),
    ...(uid ? { uid } : {}),
    finalizers: [FINALIZER],
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
  };
  return cluster.apply({ apiVersion, kind, metadata }, { manager: FIELD_MANAGERS.reconciler });
}

/**
 * From the object as it was read, and from no other: who wrote since, to the list or a child into the inventory, makes
 * it fail, and then everything is looked at again. Not as in `runtime/finalizers.ts`, which insists.
 */
export async function removeOurFinalizer(
  cluster: Pick<ReconcilerCluster, 'mergePatch'>,
  object: KubeObject,
): Promise<void> {
  const { uid, resourceVersion, finalizers = [] } = object.metadata;
  const metadata = { uid, resourceVersion, finalizers: finalizers.filter((item) => item !== FINALIZER) };
  try {
    await cluster.mergePatch(refOf(object), { metadata });
  } catch (error) {
    if (!(error instanceof ClusterError) || error.status !== 404) throw error;
  }
}
