import {
  type ASTNode,
  TypeError as CelTypeError,
  Environment,
  EvaluationError,
  ParseError,
  type ParseResult,
} from '@marcbachmann/cel-js';
import { childNodes, meter } from './evaluation-budget.ts';
import type { ParameterSchema } from './parameter-schema.ts';
import { quoteList } from './problem.ts';
import { holdsSensitive } from './sensitive.ts';

const LIMITS = {
  maxAstNodes: 256,
  maxDepth: 24,
  maxListElements: 64,
  maxMapEntries: 64,
  maxCallArguments: 8,
};
export const OPTIONS = { homogeneousAggregateLiterals: false, limits: LIMITS };
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
  /** CEL type of the observed child; absent where there is none. */
  self?: string;
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
  visible: Visible;
  /** Type that the checker inferred; `dyn` when an observed field decides. */
  type: string;
  /** Parameters it reads, first segment only; ALL_PARAMETERS when it reads them as a whole. */
  params: ReadonlySet<string>;
  /** Those of them that are sensitive, or hold what is: not those of which it only asks whether they are there. */
  secrets: ReadonlySet<string>;
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
  readonly #sensitive: ReadonlySet<string>;
  readonly #fields = new Map<string, Record<string, string>>();

  /** Nodes come with the CEL type of what is observed of them, `base` with the definitions of these types. */
  constructor(
    parameters: ParameterSchema,
    nodes: ReadonlyMap<string, string>,
    base = new Environment(OPTIONS),
  ) {
    this.#nodes = new Set(nodes.keys());
    const sensitive = Object.entries(parameters.properties ?? {}).filter(([, schema]) =>
      holdsSensitive(schema),
    );
    this.#sensitive = new Set(
      sensitive.length > 0 ? [ALL_PARAMETERS, ...sensitive.map(([name]) => name)] : [],
    );
    this.#typed = base.clone().registerVariable({ name: 'instance', schema: INSTANCE });
    this.#typed.registerVariable('params', this.#celType(parameters, 'params'));
    this.#untyped = new Environment(OPTIONS).registerVariable({ name: 'instance', schema: INSTANCE });
    for (const name of ['params', 'self', 'each']) this.#untyped.registerVariable(name, 'dyn');
    for (const [node, type] of nodes) {
      this.#typed.registerVariable(node, type);
      this.#untyped.registerVariable(node, 'dyn');
    }
  }

  /** Fields of a parameter that is an object, by the name of its type. */
  fieldsOf(type: string): Readonly<Record<string, string>> | undefined {
    return this.#fields.get(type);
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
      if (secretRef) return { source, visible, type: 'secretRef', ...found, secretRef, run };
      const type = this.#check(source, visible);
      run.check();
      meter(run.ast);
      return { source, visible, type, ...found, run };
    } catch (error) {
      throw this.#asProblem(source, error);
    }
  }

  /** The type of an expression that another compiler has compiled. @throws ExpressionProblem */
  typeOf({ source }: Expression, visible: Visible): string {
    try {
      return this.#check(source, visible);
    } catch (error) {
      throw this.#asProblem(source, error);
    }
  }

  #check(source: string, visible: Visible): string {
    const { valid, type = 'dyn', error } = this.#environment(visible).check(source);
    if (!valid) throw error ?? new Error('type check failed');
    return type;
  }

  #asProblem(source: string, error: unknown): unknown {
    return error instanceof ParseError || error instanceof EvaluationError || error instanceof CelTypeError
      ? new ExpressionProblem(`"${source}": ${error.summary}`, remedyFor(error, this.#nodes))
      : error;
  }

  #environment({ self, each }: Visible): Environment {
    if (self === undefined && !each) return this.#typed;
    const environment = this.#typed.clone();
    if (self !== undefined) environment.registerVariable('self', self);
    return each ? environment.registerVariable({ name: 'each', schema: { ...each } }) : environment;
  }

  #checkScope({ nodes, usesSelf, usesEach }: Found, visible: Visible): void {
    if (nodes.size > 0 && !visible.nodes)
      throw new ExpressionProblem(
        `reads ${quoteList(nodes)}, but only parameters and instance are known here`,
        'use params and instance only',
      );
    if (usesSelf && visible.self === undefined)
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
      secrets: new Set(),
      nodes: new Set(),
      nodeContents: new Set(),
      usesSelf: false,
      usesEach: false,
    };
    const readsParameter = (name: string): void => {
      found.params.add(name);
      if (this.#sensitive.has(name)) found.secrets.add(name);
    };
    const visit = (node: ASTNode, bound: ReadonlySet<string>, loops: number): void => {
      if (node.op === 'id') {
        if (bound.has(node.args)) return;
        if (node.args === 'self') found.usesSelf = true;
        if (node.args === 'each') found.usesEach = true;
        if (node.args === 'params') readsParameter(ALL_PARAMETERS);
        if (!this.#nodes.has(node.args)) return;
        found.nodes.add(node.args);
        found.nodeContents.add(node.args);
        return;
      }
      if (node.op === '.' && node.args[0].op === 'id' && !bound.has(node.args[0].args)) {
        const [{ args: variable }, field] = node.args as [{ args: string }, string];
        if (variable === 'params') {
          readsParameter(field);
          return;
        }
        if (this.#nodes.has(variable) && field === 'metadata') {
          found.nodes.add(variable);
          return;
        }
      }
      if (node.op === 'value') return;
      const asked = askedFor(node);
      if (asked !== undefined) {
        found.params.add(asked);
        return;
      }
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

  /** CEL's name for the type of a parameter; objects become types of their own, named by where they are. */
  #celType(schema: ParameterSchema, name: string): string {
    if (schema.type === 'integer') return 'int';
    if (schema.type === 'number') return 'double';
    if (schema.type === 'boolean') return 'bool';
    if (schema.type === 'string') return 'string';
    if (schema.type === 'array')
      return `list<${schema.items ? this.#celType(schema.items, `${name}[]`) : 'dyn'}>`;
    if (schema.additionalProperties)
      return `map<string, ${this.#celType(schema.additionalProperties, `${name}[]`)}>`;
    if (!schema.properties && name !== 'params') return 'map<string, dyn>';
    const fields = Object.fromEntries(
      Object.entries(schema.properties ?? {}).map(([field, property]) => [
        field,
        this.#celType(property, `${name}.${field}`),
      ]),
    );
    registerObjectType(this.#typed, name, fields);
    this.#fields.set(name, fields);
    return name;
  }
}

/** A type for checking only: no value ever becomes one, so its constructor is never called. */
export const registerObjectType = (env: Environment, name: string, fields: Record<string, string>): void => {
  env.registerType(name, { ctor: class {}, fields });
};

const INSTANCE = { name: 'string', namespace: 'string', organization: 'string', uid: 'string' };

interface Found {
  params: Set<string>;
  secrets: Set<string>;
  nodes: Set<string>;
  nodeContents: Set<string>;
  usesSelf: boolean;
  usesEach: boolean;
}

/** The names of `params.a.b`, and undefined for anything else. */
export function parameterPath(ast: ASTNode): string[] | undefined {
  const names: string[] = [];
  let node = ast;
  while (node.op === '.') {
    names.unshift(String(node.args[1]));
    node = node.args[0];
  }
  return node.op === 'id' && node.args === 'params' && names.length > 0 ? names : undefined;
}

/** `has(params.a.b)` says that something is there, and nothing of what it is. */
function askedFor(node: ASTNode): string | undefined {
  if (node.op !== 'call' || node.args[0] !== 'has') return undefined;
  const [argument] = node.args[1];
  return argument && parameterPath(argument)?.[0];
}

function secretReference(ast: ASTNode): { node: string; key: string } | undefined {
  if (ast.op !== 'call' || ast.args[0] !== SECRET_REF) return undefined;
  const [node, key, ...rest] = ast.args[1].map((arg) => (arg.op === 'value' ? arg.args : undefined));
  return typeof node === 'string' && typeof key === 'string' && rest.length === 0 ? { node, key } : undefined;
}

function remedyFor({ code, summary }: { code: string; summary: string }, nodes: ReadonlySet<string>): string {
  if (code === 'unknown_variable') return `there are params, instance and the nodes ${quoteList(nodes)}`;
  if (code === 'no_such_key') return 'name a declared parameter, or a field that the kind of the node has';
  if (/\bnull\b/.test(summary)) return 'nothing is ever null here: ask has(…) whether a field is there';
  return 'correct the expression; string(x), int(x) and double(x) convert between types';
}
