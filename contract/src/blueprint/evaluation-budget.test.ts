import { describe, expect, test } from 'vitest';
import { blueprintFixture } from './blueprint-fixture.ts';
import { compileBlueprint } from './compile.ts';
import { plannedChildren } from './planned-children.ts';
import { renderChild } from './render.ts';
import { createScope } from './scope.ts';

const instance = { name: 'shop', namespace: 'tenant-acme', organization: 'acme', uid: 'u1' };
/** As long as parameters can be. */
const parameters = {
  names: Array.from({ length: 1024 }, (_, i) => `name-${i}`),
  text: 'x'.repeat(65_536),
  map: Object.fromEntries(Array.from({ length: 1024 }, (_, i) => [`key-${i}`, 'value'])),
  deep: [Array.from({ length: 1024 }, () => Array.from({ length: 64 }, () => 'leaf'))],
};

function render(...texts: string[]) {
  const strings = { type: 'array', items: { type: 'string' }, maxItems: 1024 };
  const spec = blueprintFixture((blueprint) => {
    blueprint.parameters = {
      type: 'object',
      properties: {
        names: strings,
        text: { type: 'string', maxLength: 65_536 },
        map: { type: 'object', additionalProperties: { type: 'string' }, maxProperties: 1024 },
        deep: { type: 'array', items: { type: 'array', items: strings, maxItems: 1024 } },
      },
    };
    const data = Object.fromEntries(texts.map((text, i) => [`t${i}`, text]));
    blueprint.nodes = [{ id: 'config', manifest: { apiVersion: 'v1', kind: 'ConfigMap', data } }];
    blueprint.outputs = {};
  });
  const { compiled, problems } = compileBlueprint(spec);
  if (!compiled) throw new Error(JSON.stringify(problems));
  const scope = createScope(compiled, parameters, instance);
  const startedAt = performance.now();
  try {
    for (const child of plannedChildren(compiled, scope)) renderChild(child, scope);
  } catch (error) {
    return { error: (error as Error).message, tookMs: performance.now() - startedAt };
  }
  return { error: undefined, tookMs: performance.now() - startedAt };
}

const doubled = (text: string, times: number): string =>
  times === 0 ? text : doubled(`(${text} + ${text})`, times - 1);
const worst: [name: string, expression: string][] = [
  ['two loops over the longest list', 'string(params.names.all(a, params.names.all(b, a != "" || b != "")))'],
  ['a loop whose body is a constant', 'string(size(params.names.map(a, params.names.map(b, true))))'],
  ['a loop whose body is an empty list', 'string(size(params.names.map(a, params.names.map(b, []))))'],
  ['one loop in which everything fails', 'string(params.names.all(a, 1 / 0 == 1 || true))'],
  ['a loop that hides its errors', 'string(params.names.all(a, params.names.exists(b, 1 / 0 == 1) || true))'],
  [
    'loops behind an operator that forgives errors',
    'string(params.names.all(a, params.names.all(b, a != b || true)) || true)',
  ],
  [
    'two loops over the characters of a text',
    'string(size(params.text.split("").map(a, params.text.split("").map(b, a))))',
  ],
  ['a loop that looks for a name among all', 'string(params.names.all(a, !("nobody" in params.names)))'],
  ['a loop that compares the largest parameter', 'string(params.names.all(a, params.deep == params.deep))'],
  ['a loop that searches a long text', 'string(params.names.all(a, !params.text.contains("y" + a)))'],
  ['a loop that counts a map', 'string(params.map.all(a, size(params.map) > 0))'],
  ['a text that is doubled', `string(size(${doubled('params.text', 6)}.split("")))`],
  [
    'a value with the largest parameter many times',
    `\${[${'params.deep, '.repeat(40)}params.deep]}`.slice(2, -1),
  ],
];

describe('an Instance’s expressions', () => {
  test.each(worst)('end soon with %s, and the one that was too much is named', (_, expression) => {
    render(`\${${expression}}`);
    const { error, tookMs } = render(`\${${expression}}`);
    expect(error).toContain(`"${expression}" needs more than the 50000 steps`);
    // Less than ten on a machine that has nothing else to do.
    expect(tookMs).toBeLessThan(1000);
  });

  test('share one budget', () => {
    const some = '${string(size(params.names.map(a, a + "x").join(",").split(",").map(a, a + a)))}';
    expect(render(some).error).toBeUndefined();
    expect(render(...Array.from({ length: 40 }, () => some)).error).toContain(some.slice(2, -1));
  });

  test('loop once over the longest lists and maps without coming near it', () => {
    const lines = 'params.map.map(k, k + "=" + params.map[k]).join("\\n")';
    const names = 'params.names.filter(n, n.startsWith("name-1")).map(n, n + ".svc").join(",")';
    expect(render(`\${${lines}}`, `\${${names}}`).error).toBeUndefined();
  });
});
