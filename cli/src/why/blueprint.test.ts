import { API_VERSION, type BlueprintObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { whyAnswer } from '../commands/why.ts';
import { paintFor } from '../show/paint.ts';
import { walkBlueprint } from './blueprint.ts';
import { condition, healthy, NOW } from './facts-fixture.ts';

/** With this many nodes, each of which reads a parameter that there is not. */
const blueprintWith = (
  wrongNodes: number,
  ...conditions: ReturnType<typeof condition>[]
): BlueprintObject => {
  const manifest = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    data: { x: wrongNodes > 0 ? '${params.no}' : 'y' },
  };
  return {
    apiVersion: API_VERSION,
    kind: 'Blueprint',
    metadata: { name: 'bad-1-0-0' },
    spec: {
      name: 'bad',
      version: '1.0.0',
      parameters: { type: 'object' },
      nodes: Array.from({ length: Math.max(1, wrongNodes) }, (_, n) => ({ id: `n${n}`, manifest })),
    } as unknown as NonNullable<BlueprintObject['spec']>,
    status: { observedGeneration: 1, conditions },
  };
};
const textOf = (blueprint: BlueprintObject, ...modifiers: Parameters<typeof healthy>): string => {
  const walked = walkBlueprint(blueprint, healthy(...modifiers).platform, NOW);
  return whyAnswer(blueprint, walked, paintFor(false), NOW).text(false);
};

test('each of many problems has its own line, and the walk names only the first', () => {
  const lines = textOf(blueprintWith(14)).split('\n');
  for (let n = 0; n < 14; n++)
    expect(
      lines.filter((line) => new RegExp(`^( {7})+ */nodes/${n}/manifest/data/x `).test(line)),
    ).toHaveLength(1);
  expect(lines.find((line) => line.startsWith('✗ definition'))).toMatch(/nodes\/0\/.*; and more, as below$/);
});

test('what does not fit the kinds of this cluster comes from the operator', () => {
  const text = textOf(
    blueprintWith(0, condition('Ready', 'False', 'KindMismatch', '/a is x: y; /b is x: y')),
  );
  expect(text).toMatch(/^✓ definition .*\n✓ operator .*\n✗ ready +\/a is x: y; and more, as below\n/m);
  expect(text).toMatch(/\n +\/a is x: y\n +\/b is x: y\n/);
});

test('who asks why it is bad is not sent to ask why', () => {
  for (const text of [
    textOf(blueprintWith(1)),
    textOf(blueprintWith(0, condition('Ready', 'False', 'BlueprintInvalid', 'x'))),
  ])
    expect(text).toMatch(/^Do +publish a corrected version$/m);
});

test('a good one is ready', () => {
  expect(textOf(blueprintWith(0, condition('Ready', 'True', 'Valid')))).toMatch(
    /^Blueprint bad-1-0-0 is Ready .*all is as it should be/,
  );
});
