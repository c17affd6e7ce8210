import type { PlannedChild } from '../blueprint/planned-children.ts';
import { holds } from '../blueprint/render.ts';
import type { Scope } from '../blueprint/scope.ts';
import type { InstanceObject } from '../resources/object.ts';
import { overdue } from './deadline.ts';
import { policyFor } from './drift-policy.ts';
import { type LiveObject, pendingFinalizers } from './live-object.ts';
import { readinessOf } from './readiness.ts';

/** How far one child is, by its Blueprint's rules and those of its kind. */
export interface ChildState {
  state: 'ready' | 'progressing' | 'failed';
  message: string;
  audience?: 'tenant' | 'operator';
  reason?: string;
  /** By its deadline alone: why it makes no progress others may know. */
  isLate?: true;
}

/** @param replicas how many the Blueprint wants, where it says so and that is known */
export function childState(
  child: PlannedChild,
  live: LiveObject | undefined,
  scope: Scope,
  instance: InstanceObject,
  now: Date,
  replicas?: number,
): ChildState {
  if (!live || live.metadata.deletionTimestamp) return absence(live, instance, true);
  if (instance.spec?.suspend) return byKind(live);
  const state = scaledAway(child, live, replicas) ?? byRules(child, live, scope);
  const { deadline } = child.compiled.node;
  if (state.state !== 'progressing' || !deadline) return state;
  return overdue(deadline, live, instance, now, state.message) ?? state;
}

/** Of a child that is not there, or on its way out. `wanted`: while its Instance lives it comes again. */
export function absence(
  live: LiveObject | undefined,
  { metadata }: InstanceObject,
  wanted: boolean,
): ChildState {
  const comes = wanted && metadata.deletionTimestamp === undefined;
  if (!live) return { state: 'progressing', message: `it ${comes ? 'does not exist yet' : 'is gone'}` };
  const holders = pendingFinalizers(live);
  const held = holders.length > 0 ? `; it waits for its finalizers ${holders.join(', ')}` : '';
  return {
    state: 'progressing',
    message: `it is being deleted${comes ? ' and will be made again' : ''}${held}`,
  };
}

/** By its own spec a workload without replicas is complete, whoever scaled it. */
function scaledAway(
  { compiled }: PlannedChild,
  live: LiveObject,
  wanted: number | undefined,
): ChildState | undefined {
  const set = live.spec?.replicas;
  if (wanted === undefined || set === undefined || set === wanted) return undefined;
  if (policyFor(compiled.node, '/spec/replicas') === 'ignore') return undefined;
  return { state: 'progressing', message: `it is scaled to ${set} instead of ${wanted}` };
}

function byRules({ compiled, each }: PlannedChild, live: LiveObject, scope: Scope): ChildState {
  const rule = compiled.failed.find((item) => holds(item.when, scope, live, each));
  if (rule) {
    const { reason, audience, message } = rule;
    return { state: 'failed', reason, audience, message: message || 'its failure rule holds' };
  }
  const own = byKind(live);
  if (own.state === 'failed' || compiled.ready.length === 0) return own;
  const unmet = compiled.ready.find((item) => !holds(item, scope, live, each));
  return unmet
    ? { state: 'progressing', message: `not ready: ${unmet.source} does not hold yet` }
    : { state: 'ready', message: '' };
}

function byKind(live: LiveObject): ChildState {
  const found = readinessOf(live);
  return { state: found.state, message: found.state === 'ready' ? '' : found.message };
}
