import {
  API_VERSION,
  type Condition,
  canonicalJson,
  FIELD_MANAGERS,
  type KubeObject,
} from '@felucca/contract';
import type { LiveObject, ReconcilerCluster } from './cluster.ts';

/** Conditions of a status that other managers write; we never send them back. */
const FOREIGN_CONDITIONS = ['Synced'];

interface WithConditions {
  conditions?: Condition[] | undefined;
  desired?: unknown;
}

/** The conditions that are ours. With a control plane, `Synced` is the sync's. */
export const ownConditions = (object: KubeObject<unknown, WithConditions>): Condition[] =>
  (object.status?.conditions ?? []).filter(
    (condition) => object.status?.desired === undefined || !FOREIGN_CONDITIONS.includes(condition.type),
  );

/**
 * Writes our part of a status, if it says anything new: steady state does zero writes, and an identical
 * status would wake every watcher.
 */
export async function writeStatus(
  cluster: ReconcilerCluster,
  object: KubeObject<unknown, object>,
  status: Record<string, unknown>,
): Promise<LiveObject | undefined> {
  const old = object.status as Record<string, unknown> | undefined;
  const before = Object.fromEntries(Object.keys(status).map((key) => [key, old?.[key]]));
  before.conditions = ownConditions(object as KubeObject<unknown, WithConditions>);
  if (canonicalJson(before) === canonicalJson(status)) return undefined;
  const { name, namespace, uid } = object.metadata;
  return cluster.apply(
    {
      apiVersion: API_VERSION,
      kind: object.kind,
      metadata: { name, ...(namespace ? { namespace } : {}), ...(uid ? { uid } : {}) },
      status,
    },
    { manager: FIELD_MANAGERS.status, subresource: 'status' },
  );
}
