import { type InstanceObject, isRecord, LABELS } from '@felucca/contract';
import { ClusterError, type LiveObject, refOf } from '../cluster.ts';
import type { InstanceContext } from './context.ts';

/**
 * A StatefulSet takes the volumes that a former Instance of its name has left behind, and its claim templates cannot change.
 * What its pods use is this Instance's from then on: shown with it, and deleted or kept with it. Volumes beyond its replicas
 * stay as they were left.
 */
export async function takeUpClaims(
  context: InstanceContext,
  instance: InstanceObject,
  children: Iterable<LiveObject>,
): Promise<void> {
  const { uid = '' } = instance.metadata;
  const taken = claimsInUse(context, instance, children).filter(
    ({ metadata }) => metadata.labels?.[LABELS.instanceUid] !== uid && !metadata.deletionTimestamp,
  );
  await Promise.all(taken.map((claim) => label(context, claim, uid)));
}

/** Claims that pods of the Instance's StatefulSets mount, whosever they are. */
export function claimsInUse(
  context: InstanceContext,
  { metadata: { namespace = '', name } }: InstanceObject,
  children: Iterable<LiveObject>,
): LiveObject[] {
  const sets = [...children].filter(
    (child) => child.kind === 'StatefulSet' && !child.metadata.deletionTimestamp,
  );
  if (sets.length === 0) return [];
  return [...context.claims(namespace, name)].filter((claim) => sets.some((set) => isUsedBy(set, claim)));
}

function isUsedBy(set: LiveObject, { metadata }: LiveObject): boolean {
  const { labels = {}, name } = metadata;
  const own = set.metadata.labels ?? {};
  if ([LABELS.instance, LABELS.node, LABELS.key].some((key) => labels[key] !== own[key])) return false;
  const spec = isRecord(set.spec) ? set.spec : {};
  const templates = Array.isArray(spec.volumeClaimTemplates) ? spec.volumeClaimTemplates : [];
  const first = isRecord(spec.ordinals) && typeof spec.ordinals.start === 'number' ? spec.ordinals.start : 0;
  const replicas = typeof spec.replicas === 'number' ? spec.replicas : 1;
  return templates.some((template) => {
    const prefix = `${template?.metadata?.name}-${set.metadata.name}-`;
    const ordinal = name.startsWith(prefix) ? name.slice(prefix.length) : '';
    return /^\d+$/.test(ordinal) && Number(ordinal) >= first && Number(ordinal) < first + replicas;
  });
}

async function label(context: InstanceContext, claim: LiveObject, uid: string): Promise<void> {
  const { uid: own, resourceVersion } = claim.metadata;
  const labels = { [LABELS.instanceUid]: uid };
  try {
    await context.cluster.mergePatch(refOf(claim), { metadata: { uid: own, resourceVersion, labels } });
  } catch (error) {
    // It is gone, or has changed: the event of that brings us back.
    if (!(error instanceof ClusterError) || ![404, 409].includes(error.status)) throw error;
  }
}
