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
    let from: unknown = desired;
    let to = patch;
    for (const segment of pointerSegments(path)) {
      from = isRecord(from) ? from[segment] : undefined;
      if (Array.isArray(from)) {
        to[segment] = from;
        break;
      }
      if (!isRecord(from)) break;
      to = (to[segment] ??= {}) as Record<string, unknown>;
    }
  }
  return withoutEmpty(patch);
}

function withoutEmpty(patch: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(patch).flatMap(([key, value]): [string, unknown][] => {
    if (!isRecord(value)) return [[key, value]];
    const inner = withoutEmpty(value);
    return Object.keys(inner).length > 0 ? [[key, inner]] : [];
  });
  return Object.fromEntries(entries);
}
