import { type BlueprintNode, CHILD_KINDS } from '../resources/blueprint.ts';
import { checkPodSpec } from './pod-security.ts';
import { isRecord, type Problem, pointer, quoteList } from './problem.ts';

const MAX_MANIFEST_BYTES = 64 * 1024;
const MAX_DEPTH = 32;
/** Longest name of an Instance, and the dash behind it. */
const INSTANCE_PART = 41;
const KEY_PART = '-k';
// The controllers append a hash of up to 11 characters and use the result as a label value.
const NAMED_FURTHER = ['StatefulSet', 'CronJob'];
export const maxNameLength = (kind: string): number => (NAMED_FURTHER.includes(kind) ? 52 : 63);
const METADATA_FIELDS = ['labels', 'annotations'];

/** Where the pod spec of a workload kind is. */
export const POD_TEMPLATE_PATH: Record<string, readonly string[]> = {
  Deployment: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
  Job: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
};

/** Everything about a node's manifest that can be said without evaluating an expression. */
export function checkManifest(node: BlueprintNode, base: string): Problem[] {
  const problems: Problem[] = [];
  const add = (path: string, message: string, remedy: string): void => {
    problems.push({ path, message, remedy });
  };
  const { manifest } = node;
  const kind = manifest.kind;
  const allowed = CHILD_KINDS.find((item) => item.kind === kind && item.apiVersion === manifest.apiVersion);
  if (!allowed) {
    add(
      pointer(base, 'kind'),
      `${String(manifest.apiVersion)} ${String(kind)} is not a kind that a Blueprint may create`,
      `use one of ${CHILD_KINDS.map((item) => `${item.apiVersion} ${item.kind}`).join(', ')}`,
    );
    return problems;
  }
  checkShape(manifest, base, add);
  if (manifest.status !== undefined)
    add(pointer(base, 'status'), 'a template may not write a status', 'remove it');
  checkMetadata(manifest.metadata, pointer(base, 'metadata'), METADATA_FIELDS, add);
  const tail = node.id.length + (node.forEach ? KEY_PART : (node.nameSuffix ?? '')).length;
  const most = maxNameLength(allowed.kind) - INSTANCE_PART;
  if (tail > most)
    add(
      pointer(base, 'kind'),
      `the id of a ${allowed.kind} may have at most ${most} characters, together with its suffix or with "-" and a key; got ${tail}`,
      'shorten the node id',
    );
  const templatePath = POD_TEMPLATE_PATH[allowed.kind];
  if (templatePath) checkPodTemplate(manifest, base, templatePath, add);
  if (allowed.kind === 'StatefulSet' && isRecord(manifest.spec))
    if (manifest.spec.persistentVolumeClaimRetentionPolicy !== undefined)
      add(
        pointer(base, 'spec', 'persistentVolumeClaimRetentionPolicy'),
        'could destroy volumes when an Instance is suspended, or is to leave its data',
        'remove it; the deletionPolicy of the Instance decides about volumes',
      );
  if (allowed.kind === 'Service') checkService(manifest.spec, pointer(base, 'spec'), add);
  if (allowed.kind === 'Secret' && manifest.type !== undefined && manifest.type !== 'Opaque')
    if (typeof manifest.type !== 'string' || manifest.type.startsWith('kubernetes.io/service-account'))
      add(pointer(base, 'type'), 'may not ask for a service account token', 'use type: Opaque');
  if (node.generate && allowed.kind !== 'Secret')
    add(
      base.replace(/\/manifest$/, '/generate'),
      `only a Secret can hold generated values, this node is a ${allowed.kind}`,
      'move `generate` to a Secret node',
    );
  if (allowed.kind === 'PersistentVolumeClaim' && isRecord(manifest.spec))
    for (const field of ['volumeName', 'dataSource', 'dataSourceRef', 'selector'])
      if (manifest.spec[field] !== undefined)
        add(pointer(base, 'spec', field), 'could bind the volume of somebody else', 'remove it');
  return problems;
}

type Add = (path: string, message: string, remedy: string) => void;

function checkShape(manifest: Record<string, unknown>, base: string, add: Add): void {
  if (JSON.stringify(manifest).length > MAX_MANIFEST_BYTES)
    add(base, `is larger than ${MAX_MANIFEST_BYTES} bytes`, 'split it into several nodes');
  const visit = (value: unknown, path: string, depth: number): void => {
    if (depth > MAX_DEPTH) {
      add(path, `is nested deeper than ${MAX_DEPTH} levels`, 'flatten it');
      return;
    }
    if (Array.isArray(value))
      for (const [i, item] of value.entries()) visit(item, pointer(path, i), depth + 1);
    else if (isRecord(value))
      for (const [key, item] of Object.entries(value)) {
        if (key.includes('${') || key === '__proto__')
          add(pointer(path, key), 'a key cannot be an expression', 'compute the whole map: "${…}"');
        visit(item, pointer(path, key), depth + 1);
      }
    else if (value === null) add(path, 'is null, which server-side apply cannot own', 'leave the field out');
  };
  visit(manifest, base, 0);
}

function checkMetadata(metadata: unknown, path: string, fields: readonly string[], add: Add): void {
  if (metadata === undefined) return;
  if (!isRecord(metadata)) {
    add(path, 'must be written out, not computed', 'write it as an object');
    return;
  }
  for (const field of Object.keys(metadata))
    if (!fields.includes(field))
      add(
        pointer(path, field),
        'the operator decides name, namespace, owner and finalizers of a child',
        `remove it; only ${fields.join(', ')} may be set`,
      );
  for (const field of METADATA_FIELDS) {
    const map = metadata[field];
    if (map === undefined) continue;
    if (!isRecord(map)) add(pointer(path, field), 'must be written out, not computed', 'write it as a map');
    else
      for (const key of Object.keys(map))
        if (
          /(^|\.)felucca\.dev\//.test(key) ||
          (/^([a-z0-9.-]+\.)?kubernetes\.io\//.test(key) && !key.startsWith('app.kubernetes.io/'))
        )
          add(pointer(path, field, key), 'is a protected key', 'choose a key of your own domain');
  }
}

function checkPodTemplate(
  manifest: Record<string, unknown>,
  base: string,
  templatePath: readonly string[],
  add: Add,
): void {
  let value: unknown = manifest;
  let path = base;
  for (const segment of templatePath) {
    value = isRecord(value) ? value[segment] : undefined;
    path = pointer(path, segment);
    if (!isRecord(value)) {
      add(path, 'must be written out, not computed', 'write it as an object');
      return;
    }
  }
  const template = value as Record<string, unknown>;
  checkMetadata(template.metadata, pointer(path, 'metadata'), METADATA_FIELDS, add);
  checkPodSpec(template.spec, pointer(path, 'spec'), add);
  if (manifest.kind !== 'StatefulSet' || !isRecord(manifest.spec)) return;
  const claims = manifest.spec.volumeClaimTemplates;
  if (claims === undefined) return;
  const claimsPath = pointer(base, 'spec', 'volumeClaimTemplates');
  if (!Array.isArray(claims)) {
    add(claimsPath, 'must be a list that is written out', 'write it out');
    return;
  }
  for (const [index, claim] of claims.entries()) {
    const at = pointer(claimsPath, index);
    if (!isRecord(claim)) add(at, 'must be written out', 'write it as an object');
    else checkMetadata(claim.metadata, pointer(at, 'metadata'), ['name', ...METADATA_FIELDS], add);
  }
}

function checkService(spec: unknown, path: string, add: Add): void {
  if (!isRecord(spec)) {
    add(path, 'must be written out, not computed', 'write it as an object');
    return;
  }
  for (const field of ['externalIPs', 'externalName', 'loadBalancerIP', 'clusterIPs'])
    if (spec[field] !== undefined)
      add(pointer(path, field), 'could take over traffic of somebody else', 'remove it');
  const types = ['ClusterIP', 'NodePort', 'LoadBalancer'];
  if (spec.type !== undefined && !types.includes(spec.type as string))
    add(pointer(path, 'type'), `must be one of ${quoteList(types)}, as a literal`, 'correct the type');
  if (spec.selector !== undefined && !isRecord(spec.selector))
    add(pointer(path, 'selector'), 'must be written out', 'write it as a map');
}
