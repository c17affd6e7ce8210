import {
  FIELD_MANAGERS,
  isRecord,
  type KubeObject,
  ownedDifferences,
  pointerSegments,
} from '@felucca/contract';
import { ClusterError, type LiveObject, type ReconcilerCluster, refOf } from '../cluster.ts';

/** Controllers write the status of children meanwhile. */
const MAX_ATTEMPTS = 5;

/**
 * Server-side apply merges a list by the keys of its items. Where somebody edited a key, such as the port of a Service,
 * ours is added beside the edited one, and the API server may refuse both together (two ports of one name). Then the
 * list as a whole is set to what we want. False when no list differs, so that nothing was done.
 */
export async function replaceLists(
  cluster: Pick<ReconcilerCluster, 'mergePatch' | 'read'>,
  live: LiveObject,
  desired: KubeObject,
): Promise<boolean> {
  const patch = differingLists(desired, live);
  if (Object.keys(patch).length === 0) return false;
  const { uid } = live.metadata;
  const replaced = await cluster.mergePatch(refOf(live), { ...patch, metadata: { uid } });
  await giveUpPatched(cluster, replaced);
  return true;
}

/** By a patch we own the list in a second way, which no later apply gives up: the next apply owns it as all else. */
async function giveUpPatched(
  cluster: Pick<ReconcilerCluster, 'mergePatch' | 'read'>,
  patched: LiveObject,
): Promise<void> {
  let live: LiveObject | undefined = patched;
  for (let attempt = 1; live; attempt += 1) {
    const { uid, resourceVersion, managedFields = [] } = live.metadata;
    const kept = managedFields.filter(
      ({ manager, operation, subresource }) =>
        manager !== FIELD_MANAGERS.reconciler || operation === 'Apply' || subresource,
    );
    try {
      const metadata = { uid, resourceVersion, managedFields: kept };
      await cluster.mergePatch(refOf(live), { metadata });
      return;
    } catch (error) {
      const isOutdated = error instanceof ClusterError && error.status === 409;
      if (!isOutdated || attempt === MAX_ATTEMPTS) throw error;
    }
    live = await cluster.read(refOf(live));
  }
}

/** A merge patch with each outermost list in which something that we own differs. */
function differingLists(desired: KubeObject, live: LiveObject): Record<string, unknown> {
  const patch: Record<string, unknown> = {};
  for (const { path } of ownedDifferences(desired, live)) {
    const parents: string[] = [];
    let value: unknown = desired;
    for (const segment of pointerSegments(path)) {
      value = isRecord(value) ? value[segment] : undefined;
      if (Array.isArray(value)) set(patch, parents, segment, value);
      parents.push(segment);
    }
  }
  return patch;
}

function set(root: Record<string, unknown>, parents: readonly string[], name: string, value: unknown): void {
  let parent = root;
  for (const segment of parents) {
    parent[segment] ??= {};
    parent = parent[segment] as Record<string, unknown>;
  }
  parent[name] = value;
}
