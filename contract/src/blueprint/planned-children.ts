import { childName } from '../identity.ts';
import { counted } from '../plain-words.ts';
import type { BlueprintSpec } from '../resources/blueprint.ts';
import { MAX_CHILDREN } from '../resources/instance.ts';
import { type CompiledBlueprint, type CompiledNode, compileBlueprint } from './compile.ts';
import { evaluate, evaluateToCel } from './evaluate.ts';
import { ExpressionProblem } from './expression.ts';
import { maxNameLength } from './manifest.ts';
import { isRecord, type Problem, quoteList } from './problem.ts';
import { createScope, type Each, type Scope, variables } from './scope.ts';

/** One child that these parameters ask for. */
export interface PlannedChild {
  compiled: CompiledNode;
  name: string;
  /** Set for the children of a node with `forEach`. */
  each?: Each;
}

/** These parameters stand for children that cannot be: too many, or without a good name. */
export class ItemsProblem extends ExpressionProblem {}

/** Characters that a name may have; the key is the end of one. */
const KEY = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/**
 * Every child that the Blueprint stands for with these parameters, in wave order. It depends on nothing that is
 * observed: a child goes when its owner takes its item away, never because something could not be seen.
 * @throws ItemsProblem
 * @throws ExpressionProblem
 */
export function plannedChildren(compiled: CompiledBlueprint, scope: Scope): PlannedChild[] {
  const children = compiled.nodes.flatMap((node) => childrenOf(node, scope));
  if (children.length > MAX_CHILDREN)
    throw new ItemsProblem(
      `the parameters ask for ${children.length} children, at most ${MAX_CHILDREN} are possible`,
      'ask for fewer items',
    );
  return children;
}

/** What is wrong with the items that an order's parameters give to the nodes with `forEach`. */
export function checkItems(
  spec: BlueprintSpec,
  parameters: Record<string, unknown>,
  instance: Pick<Scope['instance'], 'name' | 'namespace' | 'organization'>,
): Problem[] {
  if (spec.nodes.every((node) => node.forEach === undefined)) return [];
  const { compiled } = compileBlueprint(spec);
  if (!compiled) return [];
  try {
    plannedChildren(compiled, createScope(compiled, parameters, { ...instance, uid: '' }));
    return [];
  } catch (error) {
    if (!(error instanceof ExpressionProblem)) throw error;
    return [{ path: '', message: error.message, remedy: error.remedy }];
  }
}

function childrenOf(compiled: CompiledNode, scope: Scope): PlannedChild[] {
  const { node, forEach } = compiled;
  if (!compiled.when.every((expression) => evaluate(expression, variables(scope)) === true)) return [];
  if (!forEach) return [{ compiled, name: childNameOf(compiled, scope.instance.name) }];
  const keys = new Set<string>();
  return itemsOf(compiled, scope).map(([mapKey, value], index) => {
    const item = { value, index: BigInt(index), ...(mapKey === undefined ? {} : { key: mapKey }) };
    const found = forEach.key ? evaluate(forEach.key, variables(scope, { each: item })) : (mapKey ?? value);
    const key = String(found);
    const name = childName(scope.instance.name, node.id, `-${key}`);
    checkKey(compiled, key, name, keys);
    keys.add(key);
    return { compiled, name, each: { ...item, key } };
  });
}

function itemsOf({ node, forEach }: CompiledNode, scope: Scope): [key: string | undefined, value: unknown][] {
  const items = forEach ? evaluateToCel(forEach.items, variables(scope)) : [];
  if (Array.isArray(items)) return items.map((value) => [undefined, value]);
  if (isRecord(items)) return Object.entries(items);
  throw new ExpressionProblem(
    `forEach of node "${node.id}" gives neither a list nor a map`,
    'correct the expression in a new Blueprint version',
  );
}

function checkKey({ node, kind }: CompiledNode, key: string, name: string, others: Set<string>) {
  const most = maxNameLength(kind);
  const of = `key "${key.slice(0, 64)}" of node "${node.id}"`;
  if (!KEY.test(key))
    throw new ItemsProblem(`${of} cannot be part of a name`, 'use lower-case letters, digits and "-" inside');
  if (others.has(key))
    throw new ItemsProblem(`${of} is there twice`, `make it unique; there are ${quoteList(others)}`);
  if (name.length > most)
    throw new ItemsProblem(
      `${of} gives the name ${name}, which is longer than the ${most} characters a ${kind} may have`,
      `shorten it to ${counted(most - name.length + key.length, 'character')}, or give the Instance a shorter name`,
    );
}

/** Name of the child of a node without `forEach`. */
export const childNameOf = ({ node }: CompiledNode, instance: string): string =>
  childName(instance, node.id, node.nameSuffix);
