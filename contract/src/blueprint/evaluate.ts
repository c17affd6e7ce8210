import { type ASTNode, TypeError as CelTypeError, EvaluationError, serialize } from '@marcbachmann/cel-js';
import { BudgetSpent, type EvaluationBudget, runWithin } from './evaluation-budget.ts';
import { type Expression, ExpressionProblem } from './expression.ts';
import type { ParameterSchema } from './parameter-schema.ts';

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
    // What CEL says of a failure may quote the value: "No such key: <the password>".
    if (expression.secrets.size > 0)
      throw new ExpressionProblem(
        `"${expression.source}" failed with the value of a sensitive parameter`,
        'guard it with has(…) if the parameter may be left out, or correct the expression in a new Blueprint version',
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
