import {
  type ASTNode,
  TypeError as CelTypeError,
  Environment,
  EvaluationError,
  ParseError,
  type ParseResult,
  serialize,
} from '@marcbachmann/cel-js';
import { BudgetSpent, childNodes, type EvaluationBudget, meter, runWithin } from './evaluation-budget.ts';
import type { ParameterSchema } from './parameter-schema.ts';
import { quoteList } from './problem.ts';

const LIMITS = {
  maxAstNodes: 256,
  maxDepth: 24,
  maxListElements: 64,
  maxMapEntries: 64,
  maxCallArguments: 8,
};
const MAX_LENGTH = 2048;
const MAX_NESTED_LOOPS = 2;
/**
 * Everything that an author may call. Left out on purpose: `matches` (backtracking), `cel.bind`
 * (doubling), time and bytes (nothing that a product's manifest needs).
 */
const FUNCTIONS = new Set(
  'size string int double bool dyn has all exists exists_one map filter contains startsWith endsWith lowerAscii upperAscii trim indexOf lastIndexOf substring split join'.split(
    ' ',
  ),
);
const TAKEN = ['params', 'instance', 'self', 'each'];
const LOOPS = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);
/** What only some expressions see. */
export interface Visible {
  nodes: boolean;
  self: boolean;
  /** CEL types of the fields of `each`; absent outside of a node with `forEach`. */
  each?: EachTypes;
}
export interface EachTypes {
  value: string;
  index: 'int';
  key?: 'string';
}
export const ALL_PARAMETERS = '*';
export const SECRET_REF = 'secretRef';

export class ExpressionProblem extends Error {
  readonly remedy: string;
  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** One parsed and type-checked expression. */
export interface Expression {
  source: string;
  /** Type that the checker inferred; `dyn` when an observed field decides. */
  type: string;
  /** Parameters it reads, first segment only; ALL_PARAMETERS when it reads them as a whole. */
  params: ReadonlySet<string>;
  /** Nodes it reads: with none it is phase 1. */
  nodes: ReadonlySet<string>;
  /** Nodes of which it reads more than `metadata`. */
  nodeContents: ReadonlySet<string>;
  usesSelf: boolean;
  usesEach: boolean;
  /** Set when the whole expression is `secretRef('<node>', '<key>')`. */
  secretRef?: { node: string; key: string };
  run: ParseResult;
}

/** Compiles expressions for one Blueprint: typed for the check, untyped for the evaluation. */
export class ExpressionCompiler {
  readonly #typed: Environment;
  readonly #untyped: Environment;
  readonly #nodes: ReadonlySet<string>;

  constructor(parameters: ParameterSchema, nodes: ReadonlySet<string>) {
    this.#nodes = nodes;
    const typed = environment(nodes);
    this.#typed = typed.registerVariable('params', celType(typed, parameters, 'params'));
    this.#untyped = environment(nodes).registerVariable('params', 'dyn').registerVariable('each', 'dyn');
  }

  /** @throws ExpressionProblem */
  compile(source: string, visible: Visible): Expression {
    if (source === '')
      throw new ExpressionProblem('the expression is empty', 'write a CEL expression between the braces');
    if (source.length > MAX_LENGTH)
      throw new ExpressionProblem(
        `the expression has ${source.length} characters, at most ${MAX_LENGTH} are allowed`,
        'split it over several fields or simplify it',
      );
    try {
      const run = this.#untyped.parse(source);
      const secretRef = secretReference(run.ast);
      const found = this.#walk(run.ast, secretRef !== undefined);
      this.#checkScope(found, visible);
      if (secretRef) return { source, type: 'secretRef', ...found, secretRef, run };
      const check = this.#environment(visible.each).check(source);
      if (!check.valid) throw check.error ?? new Error('type check failed');
      run.check();
      meter(run.ast);
      return { source, type: check.type ?? 'dyn', ...found, run };
    } catch (error) {
      if (error instanceof ParseError || error instanceof EvaluationError || error instanceof CelTypeError)
        throw new ExpressionProblem(`"${source}": ${error.summary}`, remedyFor(error.code, this.#nodes));
      throw error;
    }
  }

  #environment(each: EachTypes | undefined): Environment {
    if (!each) return this.#typed;
    return this.#typed.clone().registerVariable({ name: 'each', schema: { ...each } });
  }

  #checkScope({ nodes, usesSelf, usesEach }: Found, visible: Visible): void {
    if (nodes.size > 0 && !visible.nodes)
      throw new ExpressionProblem(
        `reads ${quoteList(nodes)}, but only parameters and instance are known here`,
        'use params and instance only',
      );
    if (usesSelf && !visible.self)
      throw new ExpressionProblem(
        '"self" is known only in `ready` and `failed`',
        'name the node by its id instead',
      );
    if (usesEach && !visible.each)
      throw new ExpressionProblem(
        '"each" is known only in `key`, `manifest`, `ready` and `failed` of a node with `forEach`',
        'use params and instance, or give the node a `forEach`',
      );
  }

  /** Collects what is read and refuses what is not allowed. */
  #walk(root: ASTNode, isSecretRef: boolean): Found {
    const found: Found = {
      params: new Set(),
      nodes: new Set(),
      nodeContents: new Set(),
      usesSelf: false,
      usesEach: false,
    };
    const visit = (node: ASTNode, bound: ReadonlySet<string>, loops: number): void => {
      if (node.op === 'id') {
        if (bound.has(node.args)) return;
        if (node.args === 'self') found.usesSelf = true;
        if (node.args === 'each') found.usesEach = true;
        if (node.args === 'params') found.params.add(ALL_PARAMETERS);
        if (!this.#nodes.has(node.args)) return;
        found.nodes.add(node.args);
        found.nodeContents.add(node.args);
        return;
      }
      if (node.op === '.' && node.args[0].op === 'id' && !bound.has(node.args[0].args)) {
        const [{ args: variable }, field] = node.args as [{ args: string }, string];
        if (variable === 'params') {
          found.params.add(field);
          return;
        }
        if (this.#nodes.has(variable) && field === 'metadata') {
          found.nodes.add(variable);
          return;
        }
      }
      if (node.op === 'value') return;
      const name = node.op === 'call' || node.op === 'rcall' ? node.args[0] : undefined;
      if (name !== undefined && !FUNCTIONS.has(name) && !(isSecretRef && node === root))
        throw new ExpressionProblem(
          name === SECRET_REF
            ? `"${SECRET_REF}" must be the whole expression of an output, with two literal strings`
            : `function "${name}" is not available`,
          name === SECRET_REF
            ? `write "\${${SECRET_REF}('<node>', '<key>')}" as an output's value`
            : `use one of ${[...FUNCTIONS].join(', ')}`,
        );
      if (node.op === 'rcall' && LOOPS.has(node.args[0])) {
        const [, target, args] = node.args;
        if (loops >= MAX_NESTED_LOOPS)
          throw new ExpressionProblem(
            `loops are nested deeper than ${MAX_NESTED_LOOPS}`,
            'simplify the expression',
          );
        visit(target, bound, loops + 1);
        const variable = args[0]?.op === 'id' ? args[0].args : '';
        if (this.#nodes.has(variable) || TAKEN.includes(variable))
          throw new ExpressionProblem(`the loop variable "${variable}" hides another name`, 'rename it');
        const inner = new Set(bound).add(variable);
        for (const arg of args.slice(1)) visit(arg, inner, loops + 1);
        return;
      }
      for (const child of childNodes(node)) visit(child, bound, loops);
    };
    visit(root, new Set(), 0);
    return found;
  }
}

interface Found {
  params: Set<string>;
  nodes: Set<string>;
  nodeContents: Set<string>;
  usesSelf: boolean;
  usesEach: boolean;
}

function secretReference(ast: ASTNode): { node: string; key: string } | undefined {
  if (ast.op !== 'call' || ast.args[0] !== SECRET_REF) return undefined;
  const [node, key, ...rest] = ast.args[1].map((arg) => (arg.op === 'value' ? arg.args : undefined));
  return typeof node === 'string' && typeof key === 'string' && rest.length === 0 ? { node, key } : undefined;
}

function environment(nodes: ReadonlySet<string>): Environment {
  const env = new Environment({ homogeneousAggregateLiterals: false, limits: LIMITS });
  env.registerVariable({
    name: 'instance',
    schema: { name: 'string', namespace: 'string', organization: 'string', uid: 'string' },
  });
  env.registerVariable('self', 'dyn');
  for (const node of nodes) env.registerVariable(node, 'dyn');
  return env;
}

/** CEL's name for the type of a parameter; objects become types of their own, named by where they are. */
function celType(env: Environment, schema: ParameterSchema, name: string): string {
  if (schema.type === 'integer') return 'int';
  if (schema.type === 'number') return 'double';
  if (schema.type === 'boolean') return 'bool';
  if (schema.type === 'string') return 'string';
  if (schema.type === 'array')
    return `list<${schema.items ? celType(env, schema.items, `${name}[]`) : 'dyn'}>`;
  if (schema.additionalProperties)
    return `map<string, ${celType(env, schema.additionalProperties, `${name}[]`)}>`;
  if (!schema.properties && name !== 'params') return 'map<string, dyn>';
  const fields = Object.entries(schema.properties ?? {}).map(([field, property]) => [
    field,
    celType(env, property, `${name}.${field}`),
  ]);
  // Types are for checking only, no value ever becomes one: the constructor is never called.
  env.registerType(name, { ctor: class {}, fields: Object.fromEntries(fields) as Record<string, string> });
  return name;
}

function remedyFor(code: string, nodes: ReadonlySet<string>): string {
  if (code === 'unknown_variable') return `there are params, instance and the nodes ${quoteList(nodes)}`;
  if (code === 'no_such_key') return 'name a declared parameter, or add it to the schema';
  return 'correct the expression; string(x), int(x) and double(x) convert between types';
}

/** An expression reads a field that an observed child does not have yet. */
export class FieldMissing extends Error {
  readonly field: string;
  constructor(field: string) {
    super(`waits for ${field}`);
    this.field = field;
  }
}

const MISSING = new Set(['no_such_key', 'index_out_of_bounds', 'unknown_variable']);

/** What an expression reads, and how much work it may be. */
export interface Variables {
  values: Record<string, unknown>;
  budget: EvaluationBudget;
}

/**
 * Value of an expression as JSON.
 * @throws FieldMissing when it reads a field of a child that does not exist yet.
 * @throws ExpressionProblem when it fails for any other reason.
 */
export function evaluate(expression: Expression, variables: Variables): unknown {
  return attempt(expression, () => toJson(run(expression, variables), variables.budget, 0));
}

/** The same in CEL's own types, to be read by other expressions. */
export function evaluateToCel(expression: Expression, variables: Variables): unknown {
  return attempt(expression, () => run(expression, variables));
}

const run = (expression: Expression, { values, budget }: Variables): unknown =>
  runWithin(budget, () => expression.run(values) as unknown);

function attempt(expression: Expression, action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    if (error instanceof BudgetSpent)
      throw new ExpressionProblem(
        `"${expression.source}" ${error.message}`,
        'give it shorter lists and texts, or loop less often',
      );
    if (!(error instanceof EvaluationError || error instanceof CelTypeError)) throw error;
    const node = error.node as ASTNode | undefined;
    if (node?.op && MISSING.has(error.code)) {
      const field = serialize(node);
      const root = /^[a-zA-Z]+[a-zA-Z0-9]*/.exec(field)?.[0] ?? '';
      if (root === 'self' || expression.nodes.has(root)) throw new FieldMissing(field);
    }
    throw new ExpressionProblem(
      `"${expression.source}" failed: ${error.summary}`,
      error.code === 'no_such_key'
        ? 'give the parameter a default, make it required, or guard it with has(…)'
        : 'correct the expression in a new Blueprint version',
    );
  }
}

function toJson(value: unknown, budget: EvaluationBudget, depth: number): unknown {
  if (depth > 32) throw new ExpressionProblem('the value is nested too deeply', 'flatten it');
  if (typeof value === 'string') budget.spendOn(value);
  else budget.spend(1);
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') {
    const number = Number(value);
    if (Number.isSafeInteger(number)) return number;
    throw new ExpressionProblem(
      `the integer ${value} does not fit into JSON exactly`,
      'keep integers below 2^53',
    );
  }
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value;
    throw new ExpressionProblem(`the result is ${value}, which JSON cannot carry`, 'guard the division');
  }
  if (Array.isArray(value)) return value.map((item) => toJson(item, budget, depth + 1));
  if (value !== null && typeof value === 'object') {
    const prototype = Object.getPrototypeOf(value) as unknown;
    if (prototype === Object.prototype || prototype === null)
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, toJson(item, budget, depth + 1)]),
      );
  }
  throw new ExpressionProblem(
    'the result is not a JSON value',
    'return a string, number, boolean, list or map',
  );
}

/**
 * JSON as CEL sees it: whole numbers are 64-bit integers, except where the schema says `number`.
 * Keys are sorted, because jsonb forgets their order and two renderings must agree.
 */
export function toCel(value: unknown, schema?: ParameterSchema): unknown {
  if (typeof value === 'number')
    return schema?.type !== 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map((item) => toCel(item, schema?.items));
  if (value === null || typeof value !== 'object') return value;
  const record = value as Record<string, unknown>;
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(record).sort())
    if (key !== '__proto__')
      result[key] = toCel(record[key], schema?.properties?.[key] ?? schema?.additionalProperties);
  return result;
}
