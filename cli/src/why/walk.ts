import type { InstanceFacts } from '../facts/instance.ts';
import { childHop, knownFailure, planHop } from './children.ts';
import { blueprintHop, specHop, syncHop, tenantHop } from './definition.ts';
import { deletionHop } from './deletion.ts';
import { briefly, type Finding, type Hop } from './finding.ts';
import { driftHop, readyHop } from './outcome.ts';
import { linkHop, operatorHop } from './platform.ts';

export interface Step {
  name: string;
  hop: Hop;
}
export interface Walk {
  /** Up to the first that is not as it should be, and that those after it rest on. */
  steps: Step[];
  /** Absent when all is well, as far as could be seen. */
  finding?: Finding;
}

/** From what an Instance rests on to what it is made of: each hop is of use only if those before it are well. */
const BEFORE_CHILDREN: readonly [string, (facts: InstanceFacts) => Hop][] = [
  ['operator', operatorHop],
  ['link', linkHop],
  ['deletion', deletionHop],
  ['tenant', tenantHop],
  ['blueprint', blueprintHop],
  ['spec', specHop],
  ['sync', syncHop],
  ['plan', planHop],
];
const AFTER_CHILDREN: readonly [string, (facts: InstanceFacts) => Hop][] = [
  ['drift', driftHop],
  ['ready', readyHop],
];

/** What fails there keeps no pod from failing by itself. */
const APART = ['operator', 'link'];

/** Pure: the same facts give the same answer. */
export function walk(unordered: InstanceFacts): Walk {
  const facts = {
    ...unordered,
    children: unordered.children.toSorted((a, b) => a.entry.wave - b.entry.wave),
  };
  const children = facts.children.map((child): [string, () => Hop] => [
    `${child.entry.kind}/${child.entry.name}`,
    () => childHop(facts, child),
  ]);
  const { steps, finding } = untilFailed(
    [...BEFORE_CHILDREN, ...children, ...AFTER_CHILDREN].map(([name, hopOf]) => [name, () => hopOf(facts)]),
  );
  if (!finding) return { steps };
  const also = finding.also ?? (APART.includes(steps.at(-1)!.name) ? knownFailure(facts) : undefined);
  return { steps, finding: also === undefined ? finding : { ...finding, also } };
}

/** Takes one hop after the other, as long as nothing is in the way of the next. */
export function untilFailed(hops: readonly [string, () => Hop][]): Walk {
  const steps: Step[] = [];
  const findings: Finding[] = [];
  for (const [name, hopOf] of hops) {
    const hop = hopOf();
    steps.push({ name, hop });
    if (hop.state !== 'failed') continue;
    findings.push(hop.finding);
    if (!hop.isApart) break;
  }
  const [finding, ...others] = findings;
  if (!finding) return { steps };
  const also = others.map(briefly).join('; ');
  return { steps, finding: also === '' ? finding : { ...finding, also } };
}
