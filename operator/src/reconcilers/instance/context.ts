import type { BlueprintObject, ChangeEffect, InstanceObject, TenantObject } from '@felucca/contract';
import type { CompiledBlueprints } from '../blueprint/compiled-blueprints.ts';
import type { EmitEvent, LiveObject, Lookup, ReconcilerCluster, WallClock } from '../cluster.ts';
import type { FailurePatience } from '../failure.ts';
import type { AppliedHashes } from './applied-hashes.ts';
import type { OpenSealed } from './open-parameters.ts';
import type { RemovalWatch } from './removal-watch.ts';
import type { RepairThrottle } from './repair-throttle.ts';
import type { StatusPatience } from './status-patience.ts';

export interface ReconcilerMetrics {
  driftDetected(kind: string): void;
  driftRepaired(): void;
  repairThrottled(): void;
  childChanged(effect: ChangeEffect): void;
}

/** Everything a reconcile of an Instance works with. */
export interface InstanceContext {
  cluster: ReconcilerCluster;
  /** The same without the deadline of this reconcile: what took too long is told afterwards. */
  afterwards: ReconcilerCluster;
  instances: Lookup<InstanceObject>;
  blueprints: Lookup<BlueprintObject>;
  tenants: Lookup<TenantObject>;
  /** Watched children (never Secrets) and pods of an Instance, by its UID. */
  children(instanceUid: string): Iterable<LiveObject>;
  pods(instanceUid: string): Iterable<LiveObject>;
  /** Watched volume claims that carry the name of an Instance, whichever Instance of that name had them first. */
  claims(namespace: string, instanceName: string): Iterable<LiveObject>;
  compiled: CompiledBlueprints;
  throttle: RepairThrottle;
  applied: AppliedHashes;
  patience: StatusPatience;
  removals: RemovalWatch;
  failures: FailurePatience;
  open: OpenSealed;
  emit: EmitEvent;
  metrics: ReconcilerMetrics;
  clock: WallClock;
}
