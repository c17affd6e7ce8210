import { POD_TEMPLATE_PATH } from '../blueprint/manifest.ts';
import { isUnknown } from '../blueprint/mark.ts';
import type { PlannedChild } from '../blueprint/planned-children.ts';
import { isRecord } from '../blueprint/problem.ts';
import { copyOfJson, digestOf } from '../canonical.ts';
import { ANNOTATIONS, API_VERSION, LABELS, WORKLOAD_SERVICE_ACCOUNT } from '../identity.ts';
import type { InstanceObject, KubeObject } from '../resources/object.ts';
import { outlives, policyOf } from './retention.ts';

/** A rendered child with everything the operator adds, but for generated values. */
export interface DesiredChild {
  object: KubeObject;
  /**
   * Of everything but generated values; kept as an annotation, so a restart knows what was applied. Sensitive values
   * are in it as they are sealed: a hash of a password would tell the password to whoever tries many.
   */
  hash: string;
}

/** Selectors stay valid for the life of a workload, so they use only what never changes. */
const selectorLabels = (
  instance: InstanceObject,
  { compiled, each }: PlannedChild,
): Record<string, string> => ({
  [LABELS.instance]: instance.metadata.name,
  [LABELS.node]: compiled.node.id,
  ...(each ? { [LABELS.key]: each.key } : {}),
});

export function desiredChild(
  rendered: KubeObject,
  planned: PlannedChild,
  instance: InstanceObject,
  /** With marks instead of sensitive values. */
  marked?: KubeObject,
): DesiredChild {
  const object = completed(rendered, planned, instance);
  const hashed = marked ? completed(marked, planned, instance) : object;
  const hash = digestOf({ object: hashed, generate: planned.compiled.node.generate });
  object.metadata.annotations = { ...object.metadata.annotations, [ANNOTATIONS.appliedHash]: hash };
  return { object, hash };
}

function completed(rendered: KubeObject, planned: PlannedChild, instance: InstanceObject): KubeObject {
  const object = copyOfJson(rendered) as KubeObject & Record<string, unknown>;
  const labels = childLabels(instance, planned);
  const { onDelete } = planned.compiled.node;
  object.metadata.labels = {
    ...object.metadata.labels,
    [LABELS.version]: instance.spec?.blueprintRef.version ?? '',
    ...labels,
  };
  const { kind } = object;
  if (!outlives({ kind, onDelete }, policyOf(instance.spec)))
    object.metadata.ownerReferences = [ownedBy(instance)];
  const template = podTemplateOf(object);
  if (template) preparePods(object, template, labels, selectorLabels(instance, planned));
  if (instance.spec?.suspend) suspend(object);
  if (object.kind === 'Secret') encodeStringData(object);
  return object;
}

const ownedBy = ({ metadata }: InstanceObject) => ({
  apiVersion: API_VERSION,
  kind: 'Instance',
  name: metadata.name,
  uid: metadata.uid ?? '',
  controller: true,
  blockOwnerDeletion: true,
});

const childLabels = (instance: InstanceObject, planned: PlannedChild): Record<string, string> => ({
  [LABELS.name]: instance.spec?.blueprintRef.name ?? '',
  [LABELS.appInstance]: instance.metadata.name,
  [LABELS.managedBy]: 'felucca',
  [LABELS.instanceUid]: instance.metadata.uid ?? '',
  ...selectorLabels(instance, planned),
});

type Json = Record<string, unknown>;
const child = (value: Json, key: string): Json => {
  const inner = value[key];
  if (isRecord(inner)) return inner;
  const made: Json = {};
  value[key] = made;
  return made;
};

function podTemplateOf(object: KubeObject): Json | undefined {
  let value: unknown = object;
  for (const segment of POD_TEMPLATE_PATH[object.kind] ?? [])
    value = isRecord(value) ? value[segment] : undefined;
  return value === object || !isRecord(value) ? undefined : value;
}

function preparePods(object: Json, template: Json, labels: Json, selector: Json): void {
  const metadata = child(template, 'metadata');
  metadata.labels = { ...(metadata.labels as Json | undefined), ...labels };
  const pod = child(template, 'spec');
  pod.serviceAccountName = WORKLOAD_SERVICE_ACCOUNT;
  pod.automountServiceAccountToken = false;
  // Otherwise every Service of the namespace becomes environment variables of every pod.
  pod.enableServiceLinks ??= false;
  const spec = child(object, 'spec');
  if ((object.kind === 'Deployment' || object.kind === 'StatefulSet') && spec.selector === undefined)
    spec.selector = { matchLabels: selector };
  if (object.kind !== 'StatefulSet') return;
  if (!Array.isArray(spec.volumeClaimTemplates)) return;
  // Volumes outlive their pods; with these labels a deletion finds them.
  for (const claim of spec.volumeClaimTemplates as Json[]) {
    const claimMetadata = child(claim, 'metadata');
    claimMetadata.labels = { ...(claimMetadata.labels as Json | undefined), ...labels };
  }
}

/** Compute goes, data and configuration stay. */
function suspend(object: Json): void {
  const spec = isRecord(object.spec) ? object.spec : undefined;
  if (!spec) return;
  if (object.kind === 'Deployment' || object.kind === 'StatefulSet') spec.replicas = 0;
  if (object.kind === 'CronJob' || object.kind === 'Job') spec.suspend = true;
}

/** The API server stores `stringData` as `data`: only that can be compared. */
function encodeStringData(object: Json): void {
  const stringData = object.stringData;
  if (!isRecord(stringData)) return;
  const data = child(object, 'data');
  // A mark stays one that can be recognised.
  for (const [key, value] of Object.entries(stringData))
    data[key] = isUnknown(value) ? value : Buffer.from(String(value)).toString('base64');
  delete object.stringData;
}
