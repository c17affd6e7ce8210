import { isUnder } from '../children/owned-fields.ts';
import type { BlueprintNode } from '../resources/blueprint.ts';
import type { KubeObject } from '../resources/object.ts';
import { type Compare, fixedChanges, heldBy } from './fixed-fields.ts';

/** What a change does to a child, from nothing to what can't be done. */
export const CHANGE_EFFECTS = [
  'unchanged',
  'create',
  'inPlace',
  /** Its pods are made anew. */
  'restart',
  /** It is deleted and made anew: a field can't change, and nothing is lost by that. */
  'replace',
  /** A field can't change, and making the child anew would destroy data. */
  'impossible',
  'remove',
] as const;
export type ChangeEffect = (typeof CHANGE_EFFECTS)[number];

export interface ChildChange {
  effect: ChangeEffect;
  /** JSON pointers of the fields that change, those first that decided it; of a child made anew only these. */
  fields: string[];
  /** Why it is not done, and what to do; absent when it is. */
  refusal?: string;
}

const MAX_FIELDS = 20;

/** What applying `after` onto `before` does. Pure. */
export const changeOf = (
  node: Pick<BlueprintNode, 'id' | 'onImmutable'>,
  before: KubeObject,
  after: KubeObject,
  compare: Compare,
): ChildChange =>
  effectOf(
    node,
    after,
    fixedChanges(after.kind, { ...before }, { ...after }, compare),
    compare(before, after, '').map(({ path }) => path),
  );

/** @param fixed those of the changed fields that can't change on the object that is there */
export function effectOf(
  node: Pick<BlueprintNode, 'id' | 'onImmutable'>,
  after: KubeObject,
  fixed: readonly string[],
  changes: readonly string[],
): ChildChange {
  if (fixed.length > 0) return fixedChange(node, after, fixed);
  const isRestart = (path: string): boolean =>
    RESTARTS.includes(after.kind) && isUnder(path, '/spec/template');
  const restarts = changes.filter(isRestart);
  const fields = [...restarts, ...changes.filter((path) => !isRestart(path))].slice(0, MAX_FIELDS);
  if (restarts.length > 0) return { effect: 'restart', fields };
  return { effect: changes.length > 0 ? 'inPlace' : 'unchanged', fields };
}

/** A CronJob's next run takes its new template; what runs goes on. */
const RESTARTS = ['Deployment', 'StatefulSet'];

/** Of a child that differs in what can't change, although we want nothing new: deleting it would begin a fight. */
export const madeByOthers = (object: string, fields: readonly string[]): string =>
  `${object} was made by somebody else with another ${fields.join(', ')}, which cannot change; delete it, and it is made anew as it should be`;

/** The change of fields that can't change; also when only the API server knew that. */
export function fixedChange(
  node: Pick<BlueprintNode, 'id' | 'onImmutable'>,
  { kind, metadata }: KubeObject,
  fields: readonly string[],
  words = `${fields.slice(0, 3).join(', ')} cannot change on an existing ${kind}`,
): ChildChange {
  const what = `${kind}/${metadata.name}: ${words}`;
  const held = heldBy(kind);
  if (held)
    return {
      effect: 'impossible',
      fields: [...fields],
      refusal: `${what}, and making it anew would destroy ${held}; set the old value again, or bring the change in a Blueprint version whose node has another id, and move the data`,
    };
  if (node.onImmutable === 'Replace') return { effect: 'replace', fields: [...fields] };
  return {
    effect: 'replace',
    fields: [...fields],
    refusal: `${what}, and the Blueprint does not let it be made anew; set the old value again, or say onImmutable: Replace at node "${node.id}" in a new Blueprint version`,
  };
}
