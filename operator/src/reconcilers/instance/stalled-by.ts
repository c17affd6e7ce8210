import { ANNOTATIONS, type InstanceObject } from '@felucca/contract';
import { type InstanceFacts, MAX_MESSAGE } from './conditions.ts';
import type { InstancePlan } from './plan.ts';
import type { Settled } from './settle.ts';

/** What no retry of ours helps against, the worst first: whose name it is, what is lost, what is refused. */
export function stalledBy(
  instance: InstanceObject,
  { conflicts: [conflict], rejected, plan }: Settled,
  nodes: InstanceFacts['nodes'],
): InstanceFacts['stalled'] {
  if (conflict)
    return {
      reason: 'NameConflict',
      message: `${conflict.object} exists and is not ours: ${conflict.why}; rename or delete it, or choose another name for the Instance`,
    };
  const [lost] = plan.lost;
  if (lost) return { reason: 'GeneratedValueLost', message: lostMessage(instance, lost) };
  if (rejected.length > 0) return { reason: 'ApplyRejected', message: rejectedMessage(nodes, rejected) };
  return plan.refused[0];
}

function lostMessage(
  { metadata: { name, namespace, annotations } }: InstanceObject,
  { facts, keys }: InstancePlan['lost'][number],
): string {
  const permitted = annotations?.[ANNOTATIONS.regenerate];
  const wrong = permitted === undefined ? '' : ` (the annotation names ${permitted}, which has lost nothing)`;
  return (
    `${keys.join(', ')} of Secret/${facts.name} was generated and is gone, and what uses it may know no other value; put the ` +
    'Secret back from a backup, or have a new value made with ' +
    `kubectl annotate instance ${name} -n ${namespace} --overwrite ${ANNOTATIONS.regenerate}=${facts.name}${wrong}`
  );
}

/** Each of them, in the order of the Blueprint: whoever corrects one should know of the others. */
function rejectedMessage(nodes: InstanceFacts['nodes'], rejected: Settled['rejected']): string {
  const order = nodes.map(({ object }) => object);
  const texts = rejected
    .toSorted((a, b) => order.indexOf(a.object) - order.indexOf(b.object))
    .map(({ object, message }) => `${object} was refused: ${message}`);
  const each = Math.max(100, Math.floor(MAX_MESSAGE / texts.length) - 2);
  return texts.map((text) => (text.length > each ? `${text.slice(0, each - 1)}…` : text)).join('; ');
}
