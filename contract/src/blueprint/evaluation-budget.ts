import type { ASTNode } from '@marcbachmann/cel-js';

/** Steps for rendering all children of an Instance once: some thousand are usual, and all take a few milliseconds. */
const STEPS = 50_000;
/** So much of a text is copied or searched in the time of one step. */
const CHARACTERS_PER_STEP_BITS = 6;
/** Every look at a map lists its keys first. */
const STEPS_PER_MAP_ENTRY = 3;
/** An error has a stack and a message with the place; `||` and `exists` go on after it. */
const STEPS_PER_ERROR = 100;

export class BudgetSpent extends Error {
  override message =
    `needs more than the ${STEPS} steps that all expressions of an Instance may take together`;
}

/** Bounds the work of expressions: authors are trusted with syntax, tenants choose the lengths of lists and texts. */
export class EvaluationBudget {
  #left = STEPS;
  // CEL's `||` and `all` catch errors and try their other operand: one instance is thrown again and again, cheaply.
  #error: BudgetSpent | undefined;

  /** @throws BudgetSpent */
  spend(steps: number): void {
    this.#left -= steps;
    this.check();
  }

  /** For everything in `value`, as somebody who compares or writes it must look at all of it. @throws BudgetSpent */
  spendOn(value: unknown): void {
    if (typeof value === 'string') this.spend(1 + (value.length >> CHARACTERS_PER_STEP_BITS));
    else if (value === null || typeof value !== 'object') this.spend(1);
    else {
      const items = Object.values(value);
      if (!Array.isArray(value)) this.spend(items.length * STEPS_PER_MAP_ENTRY);
      for (const item of items) this.spendOn(item);
    }
  }

  /** Once spent it stays so, whatever caught the error. @throws BudgetSpent */
  check(): void {
    if (this.#left >= 0) return;
    this.#error ??= new BudgetSpent();
    throw this.#error;
  }
}

// Evaluation is synchronous and one expression never evaluates another one.
let current: EvaluationBudget | undefined;

/** Runs an expression whose tree went through `meter`. @throws BudgetSpent */
export function runWithin<T>(budget: EvaluationBudget, run: () => T): T {
  current = budget;
  try {
    const value = run();
    budget.check();
    return value;
  } finally {
    current = undefined;
  }
}

/** Not in the library's types, like `meta.evaluate` below: its limits are for parsing only, and here is the one place. */
interface MeteredNode {
  meta: { evaluate: (evaluator: unknown, node: unknown, context: unknown) => unknown };
  setMeta(key: 'evaluate', value: MeteredNode['meta']['evaluate']): void;
}

/** What looks at its operands as a whole; everything else passes them on. */
const CONSUMERS = new Set(['call', 'rcall', '==', '!=', 'in', '+', '<', '<=', '>', '>=']);

/** Makes each evaluation of a part of the tree cost a step. To be called once it is type-checked. */
export function meter(root: ASTNode): void {
  const visit = (node: ASTNode, isConsumed: boolean): void => {
    const metered = node as unknown as MeteredNode;
    const { evaluate } = metered.meta;
    metered.setMeta('evaluate', (evaluator, self, context) => {
      current?.spend(1);
      try {
        const value = evaluate(evaluator, self, context);
        if (isConsumed) current?.spendOn(value);
        return value;
      } catch (error) {
        current?.spend(STEPS_PER_ERROR);
        throw error;
      }
    });
    for (const child of childNodes(node)) visit(child, CONSUMERS.has(node.op));
  };
  visit(root, false);
}

/** Operands of a node, in the order in which they are written. */
export function childNodes({ args }: ASTNode): ASTNode[] {
  const found = (value: unknown): ASTNode[] => {
    if (Array.isArray(value)) return value.flatMap(found);
    return value !== null && typeof value === 'object' && 'op' in value ? [value as ASTNode] : [];
  };
  return found(args);
}
