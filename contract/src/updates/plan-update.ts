import { isUnknown } from '../blueprint/mark.ts';
import type { PlannedChild } from '../blueprint/planned-children.ts';
import { pointerSegments } from '../blueprint/problem.ts';
import { isUnder } from '../children/owned-fields.ts';
import { outlives, policyOf, policyWhileAlive } from '../children/retention.ts';
import { ANNOTATIONS } from '../identity.ts';
import { type ChangeEffect, changeOf } from './child-change.ts';
import { twoRenderings } from './compare.ts';
import { heldBy } from './fixed-fields.ts';
import { type InstanceVersion, Preview } from './preview.ts';

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

/**
 * What a change does to each child, told from both orders alone: in the order in which the children are applied,
 * those that go at the end.
 * @throws ExpressionProblem when an expression fails with these parameters
 */
export function planUpdate(
  names: { organization: string; name: string },
  before: InstanceVersion,
  after: InstanceVersion,
): PlannedChange[] {
  const [old, wanted] = [new Preview(before, names), new Preview(after, names)];
  const had = new Map(old.children.map((child) => [nameOf(child), child]));
  const touched = new Set<string>();
  const changes = wanted.children.map((planned): PlannedChange => {
    const { node } = planned.compiled;
    const child = nameOf(planned);
    const object = wanted.object(planned, (id) => touched.has(id));
    const formerly = had.get(child);
    const former = formerly && old.object(formerly, () => false);
    had.delete(child);
    const change = former
      ? changeOf(node, former, object, besideOurs)
      : { effect: 'create' as const, fields: [] };
    // A label says nothing that others would read, and each child gets that of its version.
    const isRead = change.effect !== 'inPlace' || change.fields.some((path) => !isUnder(path, '/metadata'));
    if (change.effect !== 'unchanged' && isRead) touched.add(node.id);
    const unknown = change.fields.filter(
      (path) => isUnknown(at(former, path)) || isUnknown(at(object, path)),
    );
    return { child, node: node.id, unknown, ...change };
  });
  const gone = [...had].map(([child, { compiled }]): PlannedChange => {
    const { id: node, onDelete } = compiled.node;
    const policy = policyWhileAlive(policyOf(after));
    const isKept = outlives({ kind: compiled.kind, onDelete }, policy);
    const loses = isKept ? undefined : heldBy(compiled.kind);
    return { child, node, effect: 'remove', fields: [], unknown: [], ...(loses ? { loses } : {}) };
  });
  return [...changes, ...gone];
}

const nameOf = ({ compiled, name }: PlannedChild): string => `${compiled.kind}/${name}`;

/** Our own mark differs with whatever else does. */
const besideOurs: typeof twoRenderings = (before, after, base) =>
  twoRenderings(before, after, base).filter(
    ({ path }) => pointerSegments(path).at(-1) !== ANNOTATIONS.appliedHash,
  );

function at(object: unknown, path: string): unknown {
  return pointerSegments(path).reduce<unknown>(
    (value, segment) => (value as Record<string, unknown> | undefined)?.[segment],
    object,
  );
}
