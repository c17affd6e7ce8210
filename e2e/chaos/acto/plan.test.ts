import { expect, test } from 'vitest';
import { planTrials } from './campaign.ts';
import { mutationsOf } from './mutations.ts';
import { least, most, textFor } from './pattern-text.ts';
import { concrete, REMOVED, valueAt } from './pointer.ts';
import { Random } from './random.ts';
import { leavesOf, type Schema, violationsOf, withDefaults } from './structural-schema.ts';
import {
  BLUEPRINT_SCHEMA,
  DATA_PLANE_SCHEMA,
  EVERY_LEAF,
  POSTGRES,
  TENANT_SCHEMA,
  verdictOf,
  WEB,
} from './subjects.ts';

const plan = planTrials('1', new Map());

test('every leaf of every kind and of two products is tried, each with something good and something bad', () => {
  const leaves = new Set(plan.flatMap(({ leaf }) => leaf ?? []));
  const existing = [
    ...[WEB, POSTGRES].flatMap(({ leaves: ofProduct }) => ofProduct),
    ...[BLUEPRINT_SCHEMA, TENANT_SCHEMA, DATA_PLANE_SCHEMA].flatMap((schema) => leavesOf(schema)),
  ];
  expect(leaves.size).toBe(existing.length);
  for (const leaf of existing) {
    const verdicts = mutationsOf(leaf, undefined, '1')
      .filter(({ value }) => value !== REMOVED)
      .map(({ value }) => violationsOf(leaf.schema, value, 'wrong').length === 0);
    expect(verdicts, leaf.path.join('/')).toContain(false);
  }
});

test('the plan has at least 2,000 operations; ids are unique and a seed gives the same ones again', () => {
  const ids = plan.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(plan.reduce((sum, { operations }) => sum + operations, 0)).toBeGreaterThanOrEqual(2_000);
  expect(planTrials('1', new Map()).map(({ id }) => id)).toEqual(ids);
});

test('a short run is spread over the fields before any of them has a second turn', () => {
  const leaves = plan.slice(0, 50).flatMap(({ leaf }) => leaf ?? []);
  expect(new Set(leaves).size).toBe(leaves.length);
});

test('the Blueprint that is mutated has a value at every leaf of the first version of its definition', () => {
  const { spec } = EVERY_LEAF.blueprint;
  const here = leavesOf(BLUEPRINT_SCHEMA).filter(
    ({ path }) => valueAt(spec, concrete(spec, path)) !== undefined,
  );
  expect(here.length).toBeGreaterThanOrEqual(35);
  expect(violationsOf(BLUEPRINT_SCHEMA, spec, 'dropped')).toEqual([]);
});

test.each([
  '^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$',
  '^(0|[1-9]\\d{0,4})\\.(0|[1-9]\\d{0,4})$',
  '^\\$\\{[\\s\\S]*\\}$',
  '^\\d+(\\.\\d+)?(m|k|Ki)?$',
  '^[^/]+/.*$',
])('texts for %s match it', (pattern) => {
  const random = new Random(pattern);
  for (const choose of [least, most, (low: number, high: number) => random.between(low, high)])
    expect(textFor(pattern, choose)).toMatch(new RegExp(pattern, 'u'));
});

const SCHEMA: Schema = {
  type: 'object',
  required: ['size'],
  properties: {
    size: { type: 'string', enum: ['small', 'large'] },
    count: { type: 'integer', minimum: 1, maximum: 3, default: 2 },
    names: { type: 'array', maxItems: 1, items: { type: 'string', pattern: '^[a-z]+$' } },
  },
};

test.each([
  [{ size: 'small', count: 3, names: ['a'] }, []],
  [{ count: 2 }, ['size']],
  [{ size: 'tiny', count: 4 }, ['size', 'count']],
  [{ size: 'small', count: null }, ['count']],
  [{ size: 'small', names: ['A', 'b'] }, ['names', 'names/0']],
  [{ size: 'small', constructor: 1 }, ['constructor']],
])('%j breaks the schema at %j', (value, places) => {
  expect(violationsOf(SCHEMA, value, 'wrong').map((path) => path.join('/'))).toEqual(places);
});

test('null counts as absent for the API server, and a default fills what is absent', () => {
  expect(violationsOf(SCHEMA, { size: 'small', count: null }, 'dropped')).toEqual([]);
  expect(withDefaults(SCHEMA, { size: 'small' })).toEqual({ size: 'small', count: 2 });
});

test.each([
  ['replicas', 3, 'nobody'],
  ['replicas', 21, 'operator'],
  ['image', '', 'child'],
  ['noSuchParameter', 1, 'operator'],
])('parameter %s = %j is refused by %s', (name, value, by) => {
  const spec = { ...WEB.spec, parameters: { [name]: value } };
  expect(verdictOf(WEB, WEB.spec, spec).by).toBe(by);
});
