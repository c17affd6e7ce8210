import { canonicalJson, isRecord, ownValue, pointer, pointerSegments } from '@felucca/contract';
import type { ManagedFieldsEntry } from '../reconcilers/cluster.ts';

/** One difference between a verified row's spec and the live one. */
export interface SpecEdit {
  /** JSON pointer inside the object, e.g. `/spec/parameters/size`. */
  path: string;
  expected: unknown;
  actual: unknown;
  /** A field that the row does not have: an edit if somebody owns it, else a default of the API server. */
  extra: boolean;
}

/** Bounded: beyond 20 differences the list says enough. */
const MAX_EDITS = 20;

export function specEdits(
  expected: unknown,
  actual: unknown,
  path = '/spec',
  edits: SpecEdit[] = [],
): SpecEdit[] {
  if (edits.length >= MAX_EDITS) return edits;
  if (isRecord(expected) && isRecord(actual)) {
    for (const [name, value] of Object.entries(expected))
      specEdits(value, ownValue(actual, name), pointer(path, name), edits);
    for (const name of Object.keys(actual))
      if (ownValue(expected, name) === undefined)
        push(edits, {
          path: pointer(path, name),
          expected: undefined,
          actual: actual[name],
          extra: true,
        });
    return edits;
  }
  if (Array.isArray(expected) && Array.isArray(actual) && expected.length === actual.length) {
    for (const [index, value] of expected.entries())
      specEdits(value, actual[index], `${path}/${index}`, edits);
    return edits;
  }
  if (canonicalJson(expected) !== canonicalJson(actual))
    push(edits, { path, expected, actual, extra: false });
  return edits;
}

/** Whether an object that has something is to have nothing, somewhere in the spec. */
export function isEmptied(expected: unknown, actual: unknown): boolean {
  if (!isRecord(expected) || !isRecord(actual)) return false;
  const names = Object.keys(expected);
  return names.length === 0
    ? Object.keys(actual).length > 0
    : names.some((name) => isEmptied(expected[name], ownValue(actual, name)));
}

const push = (edits: SpecEdit[], edit: SpecEdit): void => {
  if (edits.length < MAX_EDITS) edits.push(edit);
};

/**
 * Who changed a field: the manager, other than our own applies, whose set reaches deepest along the path; the
 * latest of several. Undefined when nobody owns it: then the API server put it there as a default.
 */
export function managerOf(
  managedFields: readonly ManagedFieldsEntry[],
  path: string,
  ourselves: string,
): string | undefined {
  const segments = pointerSegments(path);
  let best: { depth: number; time: string; manager: string } | undefined;
  for (const entry of managedFields) {
    if (isOurApply(entry, ourselves) || entry.subresource || !entry.fieldsV1) continue;
    const depth = ownedDepth(entry.fieldsV1, segments);
    if (depth < 2) continue;
    const candidate = { depth, time: entry.time ?? '', manager: entry.manager ?? '' };
    const better =
      !best || candidate.depth > best.depth || (candidate.depth === best.depth && candidate.time > best.time);
    if (better) best = candidate;
  }
  return best?.manager;
}

/** What we set in another way stays when an apply no longer names it, like anybody's. */
const isOurApply = ({ manager, operation }: ManagedFieldsEntry, ourselves: string): boolean =>
  manager === ourselves && operation === 'Apply';

/** How many segments of the path the field set names; an atomic parent counts as owning what is below it. */
function ownedDepth(fields: Record<string, unknown>, segments: readonly string[]): number {
  let node = fields;
  for (const [index, segment] of segments.entries()) {
    const next = node[`f:${segment}`];
    if (!isRecord(next)) return hasMembers(node) ? 0 : index;
    node = next;
  }
  return segments.length;
}

const MEMBER = /^[fkvi]:/;
const hasMembers = (fields: Record<string, unknown>): boolean =>
  Object.keys(fields).some((name) => MEMBER.test(name));

/**
 * The part of a live spec that one manager applied: its row as it was sent, without the API server's defaults.
 * With it a restart needs no second copy of the row in the cluster.
 */
export function ownedPart(value: unknown, fields: Record<string, unknown>): unknown {
  if (!hasMembers(fields)) return value;
  if (Array.isArray(value))
    return value.flatMap((item) => {
      const owned = fieldsOfItem(item, fields);
      return owned ? [ownedPart(item, owned)] : [];
    });
  if (!isRecord(value)) return value;
  const part: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    const owned = fields[`f:${name}`];
    if (isRecord(owned)) part[name] = ownedPart(member, owned);
  }
  return part;
}

function fieldsOfItem(item: unknown, fields: Record<string, unknown>): Record<string, unknown> | undefined {
  for (const [name, owned] of Object.entries(fields)) {
    if (!isRecord(owned)) continue;
    if (name.startsWith('v:') && canonicalJson(item) === canonicalJson(JSON.parse(name.slice(2))))
      return owned;
    if (!name.startsWith('k:') || !isRecord(item)) continue;
    const keys = Object.entries(JSON.parse(name.slice(2)) as Record<string, unknown>);
    if (keys.every(([key, value]) => item[key] === value)) return owned;
  }
  return undefined;
}
