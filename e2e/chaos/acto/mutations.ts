import { least, most, textFor } from './pattern-text.ts';
import { type Json, REMOVED } from './pointer.ts';
import { Random } from './random.ts';
import type { Leaf, Schema } from './structural-schema.ts';

/** One value to put at a leaf. Whether it is right is not said here: that follows from the schema. */
export interface Mutation {
  /** What it tries; unique for a leaf. */
  label: string;
  /** `REMOVED` takes the field away. */
  value: unknown;
}

/** Random values per leaf, beside those that every schema is asked for. */
const SAMPLES = 4;
const OF_ANOTHER_TYPE: [string, unknown][] = [
  ['string', 'text'],
  ['integer', 7],
  ['number', 1.5],
  ['boolean', true],
  ['array', ['text']],
  ['object', { text: 'text' }],
];

/** Everything that is tried at a leaf whose value is `current`: the same for the same seed. */
export function mutationsOf(leaf: Leaf, current: unknown, seed: string): Mutation[] {
  const { schema } = leaf;
  const random = new Random(`${seed}/${leaf.path.join('/')}`);
  const values: [string, unknown][] = [
    ['removed', REMOVED],
    ['null', null],
    ...OF_ANOTHER_TYPE.filter(([type]) => isOtherType(schema, type)).map(
      ([type, value]): [string, unknown] => [`a value of type ${type}`, value],
    ),
    ...valuesOf(schema, current, random),
  ];
  const seen = new Set([JSON.stringify(current)]);
  return values
    .filter(([, value]) => {
      const text = value === REMOVED ? 'removed' : JSON.stringify(value);
      return !seen.has(text) && seen.add(text);
    })
    .map(([label, value]) => ({ label, value }));
}

const isOtherType = ({ type }: Schema, other: string): boolean =>
  type !== undefined && type !== other && !(type === 'number' && other === 'integer');

function valuesOf(schema: Schema, current: unknown, random: Random): [string, unknown][] {
  switch (schema.type) {
    case 'boolean':
      return [['the other value', current !== true]];
    case 'integer':
    case 'number':
      return numbers(schema, random);
    case 'string':
      return schema.enum ? choices(schema) : texts(schema, random);
    case 'array':
      return lists(schema, current);
    default:
      return maps(schema, current);
  }
}

const choices = ({ enum: options = [] }: Schema): [string, unknown][] => [
  ...options.map((option): [string, unknown] => [`choice ${String(option)}`, option]),
  ['no choice', 'no-such-choice'],
  ['empty', ''],
  ['a choice in capitals', String(options[0]).toUpperCase()],
];

function numbers({ minimum = 0, maximum = 1_000 }: Schema, random: Random): [string, unknown][] {
  const samples = Array.from({ length: SAMPLES }, (_, index): [string, unknown] => [
    `sample ${index}`,
    random.between(minimum, maximum),
  ]);
  return [
    ['the least', minimum],
    ['the most', maximum],
    ['below the least', minimum - 1],
    ['above the most', maximum + 1],
    ['zero', 0],
    ['beyond exact numbers', 2 ** 53],
    ['a number as text', String(minimum)],
    ...samples,
  ];
}

/** Also what breaks templates, YAML and shells where a text is only pasted. */
const AWKWARD = [
  'naïve “text” ☃',
  '"quoted" \\ back',
  "it's: {yaml} #no",
  '$(VAR) ${x} %s',
  'two\nlines',
  ' ',
];

function texts(schema: Schema, random: Random): [string, unknown][] {
  const { pattern, minLength = 0, maxLength = 4096 } = schema;
  const found: [string, unknown][] = [['empty', '']];
  if (pattern === undefined) {
    for (let index = 0; index < SAMPLES; index += 1)
      found.push([`sample ${index}`, textFor(`[a-z]{1,${Math.min(maxLength, 20)}}`, chooseBy(random))]);
    for (const [index, text] of AWKWARD.entries()) found.push([`awkward text ${index}`, text]);
  } else {
    found.push(
      ['the shortest match', textFor(pattern, least)],
      ['the longest match', textFor(pattern, most)],
    );
    for (let index = 0; index < SAMPLES; index += 1)
      found.push([`sample ${index}`, textFor(pattern, chooseBy(random))]);
    found.push(['a match in a longer text', `~ ${textFor(pattern, least)} ~`]);
  }
  const filler = pattern === undefined ? 'x' : 'a';
  found.push(
    ['the longest', filler.repeat(maxLength)],
    ['longer than allowed', filler.repeat(maxLength + 1)],
  );
  if (minLength > 0) found.push(['shorter than allowed', filler.repeat(minLength - 1)]);
  return found;
}

const chooseBy =
  (random: Random) =>
  (low: number, high: number): number =>
    random.between(low, high);

function lists({ maxItems = 64 }: Schema, current: unknown): [string, unknown][] {
  const items = Array.isArray(current) && current.length > 0 ? (current as unknown[]) : ['text'];
  return [
    ['no items', []],
    ['the first item only', items.slice(0, 1)],
    ['the items backwards', items.toReversed()],
    ['the items twice', [...items, ...items]],
    ['one item too many', Array.from({ length: maxItems + 1 }, (_, index) => items[index % items.length])],
    ['an item that is null', [...items, null]],
  ];
}

function maps(schema: Schema, current: unknown): [string, unknown][] {
  const entries = typeof current === 'object' && current !== null ? (current as Json) : {};
  const found: [string, unknown][] = [
    ['no fields', {}],
    ['an unknown field', { ...entries, noSuchField: 'text' }],
  ];
  const { additionalProperties, maxProperties = 64 } = schema;
  if (additionalProperties) {
    const [one] = Object.values(entries);
    const many = Array.from({ length: maxProperties + 1 }, (_, index) => [`entry${index}`, one ?? 'text']);
    found.push(['one entry too many', Object.fromEntries(many)]);
  }
  return found;
}
