import { Environment } from '@marcbachmann/cel-js';
import {
  type CompiledBlueprint,
  type CompiledNode,
  type CompiledValue,
  compileBlueprint,
} from './compile.ts';
import {
  type Expression,
  ExpressionCompiler,
  ExpressionProblem,
  OPTIONS,
  registerObjectType,
} from './expression.ts';
import { type KubernetesTypes, kindKey, PINNED_TYPES } from './kubernetes-types.ts';
import { MAX_PROBLEMS, type Problem, pointer, quoteList } from './problem.ts';
import { elementOf, fits, literalProblem, typeWords } from './type-fit.ts';

/** Everything that is wrong with a Blueprint; empty when it may be published. */
export function checkBlueprint(spec: unknown): Problem[] {
  const { compiled, problems } = compileBlueprint(spec);
  return compiled ? checkTypes(compiled, PINNED_TYPES) : problems;
}

/**
 * What does not fit between a Blueprint and the kinds of its children: fields that they do not have or must have,
 * values of another type, and expressions that read what is never there.
 */
export function checkTypes(compiled: CompiledBlueprint, types: KubernetesTypes): Problem[] {
  const check = new TypeCheck(compiled, types);
  for (const node of compiled.nodes) check.node(node);
  for (const { name, expression } of compiled.outputs)
    if (!expression.secretRef) check.typeOf(expression, pointer('/outputs', name, 'value'));
  return check.problems.slice(0, MAX_PROBLEMS);
}

/** What the operator adds to every child, so that a template need not. */
const ADDED: Readonly<Record<string, readonly string[]>> = {
  DeploymentSpec: ['selector'],
  StatefulSetSpec: ['selector'],
};

class TypeCheck {
  readonly problems: Problem[] = [];
  readonly #types: KubernetesTypes;
  readonly #compiled: CompiledBlueprint;
  readonly #compiler: ExpressionCompiler;

  constructor(compiled: CompiledBlueprint, types: KubernetesTypes) {
    this.#types = types;
    this.#compiled = compiled;
    const observed = compiled.nodes.map((node): [string, string] => {
      const type = this.#kind(node) ?? 'dyn';
      return [node.node.id, node.forEach ? `map<string, ${type}>` : type];
    });
    this.#compiler = new ExpressionCompiler(compiled.parameters, new Map(observed), environmentFor(types));
  }

  node(node: CompiledNode): void {
    const base = pointer('/nodes', this.#compiled.spec.nodes.indexOf(node.node));
    const kind = this.#kind(node);
    if (kind === undefined) return;
    this.#value(node.body, kind, pointer(base, 'manifest'));
    for (const [index, rule] of node.ready.entries()) this.typeOf(rule, pointer(base, 'ready', index), kind);
    for (const [index, { when }] of node.failed.entries())
      this.typeOf(when, pointer(base, 'failed', index, 'when'), kind);
  }

  /** Type of an expression now that the kinds are known; `dyn` when it is wrong, which is told. */
  typeOf(expression: Expression, path: string, self?: string): string {
    if (expression.nodes.size === 0 && !expression.usesSelf) return expression.type;
    try {
      return this.#compiler.typeOf(expression, { ...expression.visible, ...(self ? { self } : {}) });
    } catch (error) {
      if (!(error instanceof ExpressionProblem)) throw error;
      this.#add(path, error.message, error.remedy);
      return 'dyn';
    }
  }

  #kind(node: CompiledNode): string | undefined {
    return this.#types.kinds[kindKey(node)];
  }

  #value(value: CompiledValue, type: string, path: string): void {
    if (type === 'any') return;
    if (value.kind === 'expression') {
      const found = this.typeOf(value.expression, path);
      if (!fits(found, type, this.#fields))
        this.#add(
          path,
          `"${value.expression.source}" is of type ${found}, ${typeWords(type)} is needed here`,
          'convert it with string(…) or int(…), or name another value',
        );
    } else if (value.kind === 'text') {
      for (const part of value.parts) if (typeof part !== 'string') this.typeOf(part, path);
      if (!fits('string', type, this.#fields))
        this.#add(
          path,
          `is a text, ${typeWords(type)} is needed here`,
          'make one expression the whole value',
        );
    } else this.#container(value, type, path);
  }

  #container(
    value: Exclude<CompiledValue, { kind: 'expression' | 'text' }>,
    type: string,
    path: string,
  ): void {
    const parts = partsOf(value);
    const element = elementOf(type);
    const fields = this.#types.types[type];
    if (parts.items && element?.of === 'list')
      for (const [index, item] of parts.items.entries())
        this.#value(item, element.type, pointer(path, index));
    else if (parts.entries && element?.of === 'map')
      for (const [key, item] of parts.entries) this.#value(item, element.type, pointer(path, key));
    else if (parts.entries && fields) this.#object(parts.entries, fields, type, path);
    else {
      const literal = value.kind === 'literal' ? value.value : parts.items ? [] : {};
      const problem = literalProblem(literal, type);
      if (problem) this.#add(path, ...problem);
    }
  }

  #object(
    entries: readonly [string, CompiledValue][],
    fields: Readonly<Record<string, string>>,
    type: string,
    path: string,
  ): void {
    for (const [key, item] of entries) {
      const field = fields[key] ?? fields[`${key}!`];
      if (field !== undefined) this.#value(item, field, pointer(path, key));
      else
        this.#add(
          pointer(path, key),
          `"${key}" is not a field of ${type}`,
          `correct or remove it; there are ${quoteList(Object.keys(fields).map((name) => name.replace('!', '')))}`,
        );
    }
    const written = new Set(entries.map(([key]) => key));
    for (const name of Object.keys(fields)) {
      const field = name.endsWith('!') ? name.slice(0, -1) : undefined;
      if (field !== undefined && !written.has(field) && !ADDED[type]?.includes(field))
        this.#add(pointer(path, field), `is required in ${type}`, 'add it');
    }
  }

  /** Fields of an object type, be it of a kind or of a parameter. */
  readonly #fields = (type: string): Readonly<Record<string, string>> | undefined =>
    this.#types.types[type] ?? this.#compiler.fieldsOf(type);

  #add(path: string, message: string, remedy: string): void {
    this.problems.push({ path, message, remedy });
  }
}

const literal = (value: unknown): CompiledValue => ({ kind: 'literal', value });

/** What a list or map consists of, whether it has expressions inside or not. */
function partsOf(value: Exclude<CompiledValue, { kind: 'expression' | 'text' }>): {
  items?: readonly CompiledValue[];
  entries?: readonly [string, CompiledValue][];
} {
  if (value.kind === 'list') return { items: value.items };
  if (value.kind === 'map') return { entries: value.entries };
  if (Array.isArray(value.value)) return { items: value.value.map(literal) };
  if (value.value === null || typeof value.value !== 'object') return {};
  return { entries: Object.entries(value.value).map(([key, item]) => [key, literal(item)]) };
}

const environments = new WeakMap<KubernetesTypes, Environment>();

/** Some two hundred types are made once, and each Blueprint's environment inherits them. */
function environmentFor(types: KubernetesTypes): Environment {
  const known = environments.get(types);
  if (known) return known;
  const made = new Environment(OPTIONS);
  for (const [name, fields] of Object.entries(types.types))
    registerObjectType(
      made,
      name,
      Object.fromEntries(
        Object.entries(fields).map(([field, type]) => [field.replace('!', ''), celTypeOf(type)]),
      ),
    );
  environments.set(types, made);
  return made;
}

/** CEL type of an observed value. */
function celTypeOf(type: string): string {
  const element = elementOf(type);
  if (element) {
    const inner = celTypeOf(element.type);
    return element.of === 'list' ? `list<${inner}>` : `map<string, ${inner}>`;
  }
  if (type === 'bytes' || type.startsWith('enum<')) return 'string';
  // A double that is a whole number comes out of JSON as an integer.
  return ['quantity', 'intOrString', 'any', 'number'].includes(type) ? 'dyn' : type;
}
