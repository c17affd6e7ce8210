import type { BlueprintNode, DriftPolicy } from '../resources/blueprint.ts';
import { isUnder } from './owned-fields.ts';

/** Without these a child is out of the operator's sight, and no Blueprint can want that. */
const WHOSE_IT_IS = /^\/metadata\/(labels(\/felucca\.dev~1[^/]+)?|ownerReferences(\/.*)?)$/;

/** The policy of the most specific rule; without one, the node's default. */
export function policyFor(node: BlueprintNode, path: string): DriftPolicy {
  if (WHOSE_IT_IS.test(path)) return 'correct';
  const rules = node.drift;
  if (!rules) return 'correct';
  let best: { length: number; policy: DriftPolicy } = { length: -1, policy: rules.default ?? 'correct' };
  for (const policy of ['report', 'ignore'] as const)
    for (const prefix of rules[policy] ?? [])
      if (isUnder(path, prefix) && prefix.length > best.length) best = { length: prefix.length, policy };
  return best.policy;
}
