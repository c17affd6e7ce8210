import type { BlueprintNode, BlueprintSpec } from '../resources/blueprint.ts';
import type { ParameterSchema } from './parameter-schema.ts';
import { checkValue } from './parameters.ts';
import { type Problem, pointer } from './problem.ts';

/** Names that mean something in expressions. */
export const RESERVED_IDS = new Set(
  'params instance self each has dyn size int uint double string bool bytes type true false null in list map timestamp duration optional cel math'.split(
    ' ',
  ),
);

export function checkDefaults(schema: ParameterSchema, path: string): Problem[] {
  const problems = Object.entries(schema.properties ?? {}).flatMap(([name, property]) =>
    checkDefaults(property, pointer(path, 'properties', name)),
  );
  if (schema.default !== undefined && problems.length === 0)
    // A default may be partial where inner defaults complete it, so only its own fields are checked.
    problems.push(
      ...checkValue(schema, schema.default, pointer(path, 'default')).filter(
        (problem) => problem.message !== 'is required',
      ),
    );
  return problems;
}

export function checkIds(spec: BlueprintSpec): Problem[] {
  const seen = new Map<string, number>();
  return spec.nodes.flatMap((node, index) => {
    const path = pointer('/nodes', index, 'id');
    const earlier = seen.get(node.id);
    seen.set(node.id, index);
    if (earlier !== undefined)
      return [{ path, message: `"${node.id}" is already the id of node ${earlier}`, remedy: 'rename one' }];
    return RESERVED_IDS.has(node.id)
      ? [{ path, message: `"${node.id}" has a meaning in expressions`, remedy: 'choose another id' }]
      : [];
  });
}

/** Fields that mean nothing without, or beside, `forEach`. */
export function checkForEachFields({ forEach, key, nameSuffix }: BlueprintNode, base: string): Problem[] {
  if (key !== undefined && forEach === undefined)
    return [
      {
        path: pointer(base, 'key'),
        message: 'is the key of an item, and the node has no `forEach`',
        remedy: 'remove it, or add `forEach`',
      },
    ];
  if (nameSuffix !== undefined && forEach !== undefined)
    return [
      {
        path: pointer(base, 'nameSuffix'),
        message: 'stands where the children of a `forEach` have their key',
        remedy: 'remove it, or compute it into `key`',
      },
    ];
  return [];
}

export function checkDriftPaths(node: BlueprintNode, base: string): Problem[] {
  return (['ignore', 'report'] as const).flatMap((policy) =>
    (node.drift?.[policy] ?? []).flatMap((path, index) =>
      /^(\/([^~/]|~[01])+)+$/.test(path)
        ? []
        : [
            {
              path: pointer(base, 'drift', policy, index),
              message: `"${path}" is not a JSON pointer`,
              remedy: 'write for example /spec/replicas, with ~1 for "/" inside a key',
            },
          ],
    ),
  );
}
