import type { CompiledBlueprint } from '../blueprint/compile.ts';
import { type PlannedChild, plannedChildren } from '../blueprint/planned-children.ts';
import { createScope, type Observed, type Scope } from '../blueprint/scope.ts';
import { organizationOf } from '../identity.ts';
import type { InstanceObject, KubeObject } from '../resources/object.ts';
import { isOurs, type LiveObject } from './live-object.ts';

/** Every child that an Instance should have. @throws ExpressionProblem */
export function childrenOfInstance(
  instance: InstanceObject,
  blueprint: CompiledBlueprint,
  parameters: Record<string, unknown>,
): PlannedChild[] {
  return plannedChildren(blueprint, createScope(blueprint, parameters, namesOf(instance)));
}

/**
 * What an Instance's expressions can read: its parameters, and those of its children that are there to stay.
 * `live` is by the child's name, `opened` the parameters with their sensitive values.
 */
export function instanceScope(
  instance: InstanceObject,
  blueprint: CompiledBlueprint,
  parameters: Record<string, unknown>,
  children: readonly PlannedChild[],
  live: ReadonlyMap<string, LiveObject>,
  opened?: Record<string, unknown>,
): Scope {
  const there = (name: string): LiveObject | undefined => {
    const object = live.get(name);
    const isThere =
      object && isOurs(object, instance.metadata.uid ?? '') && !object.metadata.deletionTimestamp;
    return isThere ? object : undefined;
  };
  const observed = blueprint.nodes.flatMap((node): [string, Observed[string]][] => {
    if (!blueprint.observed.has(node.node.id)) return [];
    const mine = children.filter(({ compiled }) => compiled === node);
    const found = mine.flatMap(({ name, each }): [string, KubeObject][] => {
      const object = there(name);
      return object ? [[each?.key ?? '', object]] : [];
    });
    if (node.forEach) return found.length === mine.length ? [[node.node.id, Object.fromEntries(found)]] : [];
    return found.map(([, object]) => [node.node.id, object]);
  });
  return createScope(blueprint, parameters, namesOf(instance), Object.fromEntries(observed), opened);
}

function namesOf({ metadata }: InstanceObject): Scope['instance'] {
  const { name, namespace = '', uid = '' } = metadata;
  return { name, namespace, organization: organizationOf(namespace) ?? namespace, uid };
}
