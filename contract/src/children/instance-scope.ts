import type { CompiledBlueprint } from '../blueprint/compile.ts';
import { createScope, type Scope } from '../blueprint/render.ts';
import type { InstanceObject } from '../resources/object.ts';
import { isOurs, type LiveObject } from './live-object.ts';

/** What an Instance's expressions can read: its parameters, and those of its children that are there to stay. */
export function instanceScope(
  instance: InstanceObject,
  blueprint: CompiledBlueprint,
  parameters: Record<string, unknown>,
  live: ReadonlyMap<string, LiveObject>,
): Scope {
  const { name, namespace = '', uid = '' } = instance.metadata;
  const observed = Object.fromEntries(
    [...live].filter(([, object]) => isOurs(object, uid) && !object.metadata.deletionTimestamp),
  );
  const organization = namespace.replace(/^tenant-/, '');
  return createScope(blueprint, parameters, { name, namespace, organization, uid }, observed);
}
