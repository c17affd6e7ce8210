import { isRecord } from '../blueprint/problem.ts';
import { LABELS } from '../identity.ts';
import type { KubeObject } from '../resources/object.ts';

/**
 * Claim templates can't change, and they say whose Instance made them: a StatefulSet that is taken up again keeps what is
 * written there. The claims themselves are labelled anew.
 */
export function keepClaimTemplates<T extends KubeObject>(desired: T, live: KubeObject): T {
  if (desired.kind !== 'StatefulSet' || !isRecord(desired.spec)) return desired;
  const wanted = desired.spec.volumeClaimTemplates;
  if (!Array.isArray(wanted)) return desired;
  const volumeClaimTemplates = wanted.map((template) => withOwner(template, ownerIn(live, nameOf(template))));
  return { ...desired, spec: { ...desired.spec, volumeClaimTemplates } };
}

const nameOf = (template: unknown): unknown =>
  isRecord(template) && isRecord(template.metadata) ? template.metadata.name : undefined;

/** The label of the live template of this name. */
function ownerIn(live: KubeObject, name: unknown): unknown {
  const templates = isRecord(live.spec) ? live.spec.volumeClaimTemplates : undefined;
  const found = Array.isArray(templates) && templates.find((template) => nameOf(template) === name);
  const { metadata } = isRecord(found) ? found : {};
  return isRecord(metadata) && isRecord(metadata.labels) ? metadata.labels[LABELS.instanceUid] : undefined;
}

function withOwner(template: unknown, owner: unknown): unknown {
  if (owner === undefined || !isRecord(template) || !isRecord(template.metadata)) return template;
  const labels = isRecord(template.metadata.labels) ? template.metadata.labels : {};
  return {
    ...template,
    metadata: { ...template.metadata, labels: { ...labels, [LABELS.instanceUid]: owner } },
  };
}
