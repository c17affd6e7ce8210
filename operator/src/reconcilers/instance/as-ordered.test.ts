import { ANNOTATIONS, digestOf, type InstanceObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { isAsOrdered } from './as-ordered.ts';

const ORDERED = { blueprintRef: { name: 'web', version: '1.0.0' } };
const EDITED = { ...ORDERED, suspend: true };

const SEALED = { ...ORDERED, parameters: { a: { sealed: `eyJa..${'A'.repeat(16)}.AA.${'A'.repeat(22)}` } } };

const annotations = (spec: object, generation = 3) => ({
  [ANNOTATIONS.id]: 'i1',
  [ANNOTATIONS.generation]: String(generation),
  [ANNOTATIONS.digest]: digestOf(spec),
});
const verified = (generation: number) => ({
  desired: { id: 'i1', generation: 3 },
  conditions: [{ type: 'Synced', status: 'True', observedGeneration: generation }],
});
const instance = (spec: object, generation: number, annotated?: object, status?: object): InstanceObject =>
  ({
    apiVersion: 'felucca.dev/v1alpha1',
    kind: 'Instance',
    metadata: { name: 'site', generation, ...(annotated ? { annotations: annotated } : {}) },
    spec,
    ...(status ? { status } : {}),
  }) as InstanceObject;

test.each<[string, InstanceObject]>([
  ['applied here', instance(EDITED, 9)],
  ['applied here with an id that somebody made up', instance(EDITED, 9, { [ANNOTATIONS.id]: 'i1' })],
  ['of a row that was just written', instance(ORDERED, 1, annotations(ORDERED))],
  ['verified', instance(ORDERED, 5, annotations(ORDERED), verified(5))],
  ['with a sealed value, verified', instance(SEALED, 5, annotations(SEALED), verified(5))],
  ['with a sealed value, of a newer row', instance(SEALED, 6, annotations(SEALED, 4), verified(5))],
  ['verified, with defaults of the API server', instance(EDITED, 5, annotations(ORDERED), verified(5))],
  ['of a newer row that was just written', instance(EDITED, 6, annotations(EDITED, 4), verified(5))],
  ['set back, and the mark is on its way', instance(ORDERED, 7, annotations(ORDERED), verified(5))],
])('a spec %s is acted upon', (_, object) => {
  expect(isAsOrdered(object)).toBe(true);
});

test.each<[string, InstanceObject]>([
  ['edited', instance(EDITED, 6, annotations(ORDERED), verified(5))],
  ['edited before it was marked', instance(EDITED, 2, annotations(ORDERED))],
  ['with a sealed value, that nobody has verified', instance(SEALED, 1, annotations(SEALED))],
  ['edited, without its annotations', instance(EDITED, 6, undefined, verified(5))],
  ['of an older row that somebody applied again', instance(EDITED, 6, annotations(EDITED, 2), verified(5))],
])('a spec %s is not', (_, object) => {
  expect(isAsOrdered(object)).toBe(false);
});
