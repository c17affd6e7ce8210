import type { PlannedChild } from '../blueprint/planned-children.ts';
import { holds } from '../blueprint/render.ts';
import type { Scope } from '../blueprint/scope.ts';
import type { LiveObject } from './live-object.ts';
import { readinessOf } from './readiness.ts';

/** How far one child is, by its Blueprint's rules and those of its kind. */
export interface ChildState {
  state: 'ready' | 'progressing' | 'failed';
  message: string;
  audience?: 'tenant' | 'operator';
  reason?: string;
}

export function childState(
  { compiled: node, each }: PlannedChild,
  live: LiveObject | undefined,
  scope: Scope,
  suspended: boolean,
): ChildState {
  if (!live) return { state: 'progressing', message: 'it does not exist yet' };
  if (live.metadata.deletionTimestamp)
    return { state: 'progressing', message: 'it is being deleted and will be made again' };
  const rule = suspended ? undefined : node.failed.find((item) => holds(item.when, scope, live, each));
  if (rule) {
    const { reason, audience, message } = rule;
    return { state: 'failed', reason, audience, message: message || 'its failure rule holds' };
  }
  const byKind = readinessOf(live);
  if (byKind.state === 'failed' || node.ready.length === 0 || suspended)
    return { state: byKind.state, message: byKind.state === 'ready' ? '' : byKind.message };
  const unmet = node.ready.find((item) => !holds(item, scope, live, each));
  return unmet
    ? { state: 'progressing', message: `not ready: ${unmet.source} does not hold yet` }
    : { state: 'ready', message: '' };
}
