import { isRecord, ownValue, pointer, pointerSegments } from '../blueprint/problem.ts';
import type { ManagedFieldsEntry } from './live-object.ts';
import { quantity } from './quantity.ts';

/** One owned field whose live value is not the desired one. */
export interface FieldDifference {
  /** JSON pointer into the desired object. */
  path: string;
  expected: unknown;
  actual: unknown;
}

const MAX_DIFFERENCES = 20;

/**
 * Fields that we own (they are in `desired`) and whose live value differs. Everything else of the live
 * object belongs to somebody else: defaults of the API server, status, other managers.
 * @param base pointer of both in their objects, when they are parts of them
 */
export function ownedDifferences(desired: unknown, live: unknown, base = ''): FieldDifference[] {
  const differences: FieldDifference[] = [];
  const visit = (want: unknown, have: unknown, path: string): void => {
    if (differences.length >= MAX_DIFFERENCES || isSame(want, have, path)) return;
    if (isRecord(want) && isRecord(have)) {
      if (ATOMIC_MAP.test(path) && hasMore(want, have)) {
        differences.push({ path, expected: want, actual: have });
        return;
      }
      // Most are the same, and need no path.
      for (const [key, value] of Object.entries(want)) {
        const other = ownValue(have, key);
        if (value !== other) visit(value, other, pointer(path, key));
      }
      return;
    }
    if (Array.isArray(want) && Array.isArray(have)) {
      const key = mergeKey(want, path);
      if (key) {
        for (const [index, item] of want.entries())
          visit(
            item,
            have.find((other) => key(other) === key(item)),
            pointer(path, index),
          );
        return;
      }
      if (want.length === have.length) {
        for (const [index, item] of want.entries()) visit(item, have[index], pointer(path, index));
        return;
      }
    }
    differences.push({ path, expected: want, actual: have });
  };
  visit(desired, live, base);
  return differences;
}

/** `have` is how the API server writes `want`: without what is empty, quantities in their shortest form. */
export function isSame(want: unknown, have: unknown, path: string): boolean {
  if (want === have) return true;
  // The API server leaves empty values out.
  if (have === undefined || have === null) return isEmpty(want);
  return isQuantityPath(path) && quantity(want) !== undefined && quantity(want) === quantity(have);
}

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  value === false ||
  value === 0 ||
  (Array.isArray(value) && value.length === 0) ||
  (isRecord(value) && Object.values(value).every(isEmpty));

/**
 * Maps that belong to one manager as a whole: an entry that somebody adds takes all of it, and a selector with one more
 * label selects nothing. The API server fills none of these in.
 */
const ATOMIC_MAP = /\/(selector|podSelector|namespaceSelector|labelSelector|nodeSelector)$/;

const hasMore = (want: Record<string, unknown>, have: Record<string, unknown>): boolean =>
  Object.entries(have).some(([key, value]) => {
    const wanted = ownValue(want, key);
    if (wanted === undefined) return !isEmpty(value);
    return isRecord(wanted) && isRecord(value) && hasMore(wanted, value);
  });

/** The API server writes "1000m" back as "1": the same amount, not a change. */
const QUANTITY_PATH =
  /\/(limits|requests|hard|default|defaultRequest|max|min|capacity)\/[^/]+$|\/(sizeLimit|averageValue|divisor)$/;
const isQuantityPath = (path: string): boolean => QUANTITY_PATH.test(path);

type KeyOf = (item: unknown) => string;

/** Lists that server-side apply merges by key: others may add items beside ours. */
function mergeKey(items: readonly unknown[], path: string): KeyOf | undefined {
  if (items.length === 0 || !items.every(isRecord)) return undefined;
  const name = /[^/]*$/.exec(path)?.[0] ?? '';
  const fields = MERGE_KEYS.get(name);
  if (!fields) return undefined;
  const keyOf: KeyOf = (item) => {
    const record = isRecord(item) ? item : {};
    return fields.map((field) => String(ownValue(record, field) ?? KEY_DEFAULTS[field] ?? '')).join('\n');
  };
  return new Set(items.map(keyOf)).size === items.length ? keyOf : undefined;
}
const MERGE_KEYS: ReadonlyMap<string, string[]> = new Map(
  Object.entries({
    containers: ['name'],
    initContainers: ['name'],
    env: ['name'],
    volumes: ['name'],
    volumeMounts: ['mountPath'],
    imagePullSecrets: ['name'],
    ownerReferences: ['uid'],
    // Of a Service; a container's ports have no `port` and are told apart by containerPort.
    ports: ['containerPort', 'port', 'protocol'],
    topologySpreadConstraints: ['topologyKey', 'whenUnsatisfiable'],
  }),
);
const KEY_DEFAULTS: Record<string, string> = { protocol: 'TCP' };

/** `prefix` is the path itself or one of its parents. */
export const isUnder = (path: string, prefix: string): boolean =>
  path === prefix || path.startsWith(`${prefix}/`);

/** Who changed a field last and when, as far as managedFields tell: everybody but us who owns it or a part of it. */
export function changedBy(
  managedFields: readonly ManagedFieldsEntry[] | undefined,
  path: string,
  ourselves: string,
  desired: unknown,
): { manager: string; time?: string } | undefined {
  const segments = pointerSegments(path);
  let found: { manager: string; time?: string } | undefined;
  for (const entry of managedFields ?? []) {
    const isUs = entry.manager === ourselves && entry.operation === 'Apply';
    if (isUs || entry.subresource === 'status' || !entry.fieldsV1) continue;
    if (!owns(entry.fieldsV1, segments, desired)) continue;
    if (!found || (entry.time ?? '') > (found.time ?? ''))
      found = { manager: entry.manager ?? 'unknown', ...(entry.time ? { time: entry.time } : {}) };
  }
  return found;
}

/**
 * A difference in a field that is still ours is not drift: nobody else wrote it, the API server or an
 * admission webhook stores it in another form. Whoever really changes a field takes its ownership.
 */
export const isStillOwned = (
  managedFields: readonly ManagedFieldsEntry[] | undefined,
  path: string,
  ourselves: string,
  desired: unknown,
): boolean =>
  (managedFields ?? []).some(
    (entry) =>
      entry.manager === ourselves &&
      entry.operation === 'Apply' &&
      !entry.subresource &&
      entry.fieldsV1 !== undefined &&
      owns(entry.fieldsV1, pointerSegments(path), desired),
  );

function owns(fields: Record<string, unknown>, segments: readonly string[], desired: unknown): boolean {
  let node: unknown = fields;
  let value: unknown = desired;
  for (const segment of segments) {
    if (!isRecord(node)) return false;
    // An atomic parent owns everything below it.
    if (Object.keys(node).every((key) => key === '.')) return true;
    if (Array.isArray(value)) {
      const item: unknown = value[Number(segment)];
      const key = Object.keys(node).find((name) => name.startsWith('k:') && matchesKey(name, item));
      node = key === undefined ? undefined : node[key];
      value = item;
    } else {
      node = node[`f:${segment}`];
      value = isRecord(value) ? value[segment] : undefined;
    }
  }
  return isRecord(node);
}

function matchesKey(name: string, item: unknown): boolean {
  if (!isRecord(item)) return false;
  try {
    const keys = JSON.parse(name.slice(2)) as Record<string, unknown>;
    return Object.entries(keys).every(([key, value]) => (item[key] ?? KEY_DEFAULTS[key]) === value);
  } catch {
    return false;
  }
}

/** Only what a Secret holds is secret: its labels, annotations and type are not. */
export const isSecretValue = (kind: string, path: string): boolean =>
  kind === 'Secret' && ['/data', '/stringData'].some((prefix) => isUnder(path, prefix));
