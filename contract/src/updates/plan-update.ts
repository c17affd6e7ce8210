import { isUnknown } from '../blueprint/mark.ts';
import type { PlannedChild } from '../blueprint/planned-children.ts';
import { pointerSegments } from '../blueprint/problem.ts';
import { keepClaimTemplates } from '../children/claim-templates.ts';
import { isUnder, ownedDifferences } from '../children/owned-fields.ts';
import { outlives, policyOf, policyWhileAlive } from '../children/retention.ts';
import { ANNOTATIONS } from '../identity.ts';
import type { BlueprintNode } from '../resources/blueprint.ts';
import type { InventoryEntry } from '../resources/instance.ts';
import type { KubeObject } from '../resources/object.ts';
import { type ChangeEffect, type ChildChange, changeOf, effectOf } from './child-change.ts';
import { liveWithDesired, twoRenderings } from './compare.ts';
import { type Compare, type FieldChange, fixedChanges, heldBy } from './fixed-fields.ts';
import { type InstanceNames, type InstanceVersion, Preview } from './preview.ts';

/** What a change of an Instance does to one child. */
export interface PlannedChange {
  /** `<Kind>/<name>` */
  child: string;
  node: string;
  effect: ChangeEffect;
  /** JSON pointers of what differs. */
  fields: string[];
  /** Those of them that only the cluster can tell: they may turn out as they are. */
  unknown: string[];
  /** Why it will not be done, and what to do instead. */
  refusal?: string;
  /** What goes with a child that is removed. */
  loses?: string;
}

/** What the cluster has of an Instance. */
export interface ActualChildren {
  /** By `<Kind>/<name>`; undefined is not there, and what is not known has no entry. */
  live: ReadonlyMap<string, KubeObject | undefined>;
  inventory: readonly InventoryEntry[];
}

/**
 * What a change does to each child: in the order in which the children are applied, those that go at the end. Without
 * `actual` it is told from both orders alone, as if the first had been carried out. With it, what was refused of the
 * first counts as it is; and the first may be missing, where nothing can be made of it any more.
 * @throws ExpressionProblem when an expression fails with these parameters
 */
export function planUpdate(
  names: InstanceNames,
  before: InstanceVersion | undefined,
  after: InstanceVersion,
  actual?: ActualChildren,
): PlannedChange[] {
  const wanted = new Preview(after, names);
  const old = before && new Preview(before, names);
  const had = new Map<string, Former>(
    old
      ? old.children.map((child) => [nameOf(child), { ...child.compiled, child }])
      : actual?.inventory.map(({ kind, name, node, onDelete }) => [
          `${kind}/${name}`,
          { kind, node: { id: node, onDelete } },
        ]),
  );
  const touched = new Set<string>();
  const changes = wanted.children.map((planned): PlannedChange => {
    const { node } = planned.compiled;
    const child = nameOf(planned);
    const object = wanted.object(planned, (id) => touched.has(id));
    const formerly = had.get(child)?.child;
    const former = formerly && old?.object(formerly, () => false);
    had.delete(child);
    const change = changeOfChild(planned, former, object, actual);
    // A label says nothing that others would read, and each child gets that of its version.
    const isRead = change.effect !== 'inPlace' || change.fields.some((path) => !isUnder(path, '/metadata'));
    if (change.effect !== 'unchanged' && isRead) touched.add(node.id);
    const unknown = change.fields.filter(
      (path) => isUnknown(at(former, path)) || isUnknown(at(object, path)),
    );
    return { child, node: node.id, unknown, ...change };
  });
  const policy = policyWhileAlive(policyOf(after));
  const gone = [...had].map(([child, { kind, node }]): PlannedChange => {
    const loses = outlives({ kind, onDelete: node.onDelete }, policy) ? undefined : heldBy(kind);
    return { child, node: node.id, effect: 'remove', fields: [], unknown: [], ...(loses ? { loses } : {}) };
  });
  return [...changes, ...gone];
}

/** What the Instance has before the change: of its order, or of its inventory. */
interface Former {
  kind: string;
  node: Pick<BlueprintNode, 'id' | 'onDelete'>;
  child?: PlannedChild;
}

const nameOf = ({ compiled, name }: PlannedChild): string => `${compiled.kind}/${name}`;

/** @param former absent of a child that is new, or of which only the inventory tells */
function changeOfChild(
  planned: PlannedChild,
  former: KubeObject | undefined,
  wanted: KubeObject,
  actual: ActualChildren | undefined,
): ChildChange {
  const { node } = planned.compiled;
  const name = nameOf(planned);
  const there = actual?.live.get(name);
  if (!there) {
    const isThere = former ?? actual?.inventory.some(({ kind, name: of }) => `${kind}/${of}` === name);
    if (!isThere || actual?.live.has(name)) return { effect: 'create', fields: [] };
    return former ? changeOf(node, former, wanted, besideOurs) : { effect: 'inPlace', fields: [] };
  }
  const object = keepClaimTemplates(wanted, there);
  // A mark is not what the cluster has, and tells nothing about it.
  const againstLive: Compare = (before, after, base) =>
    liveWithDesired(before, after, base).filter(({ path }) => !isUnknown(at(object, path)));
  const changes = (former ? besideOurs(former, wanted, '') : againstLive(there, object, ''))
    .filter(isNotOurs)
    .map(({ path }) => path)
    .filter((path) => !isSoAlready(at(object, path), at(former, path), at(there, path), path));
  // What the change does not touch stays as it is, also where that was refused before.
  if (changes.length === 0) return { effect: 'unchanged', fields: [] };
  return effectOf(node, wanted, fixedChanges(wanted.kind, { ...there }, { ...object }, againstLive), changes);
}

/** A field that goes counts only where the cluster has what the former order says. */
const isSoAlready = (wanted: unknown, former: unknown, live: unknown, path: string): boolean =>
  wanted === undefined
    ? ownedDifferences(former, live, path).length > 0
    : ownedDifferences(wanted, live, path).length === 0;

/** Our own mark differs with whatever else does. */
const isNotOurs = ({ path }: FieldChange): boolean =>
  pointerSegments(path).at(-1) !== ANNOTATIONS.appliedHash;
const besideOurs: Compare = (before, after, base) => twoRenderings(before, after, base).filter(isNotOurs);

function at(object: unknown, path: string): unknown {
  return pointerSegments(path).reduce<unknown>(
    (value, segment) => (value as Record<string, unknown> | undefined)?.[segment],
    object,
  );
}
