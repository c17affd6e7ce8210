import type { InstanceObject } from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import type { InstanceFacts } from './conditions.ts';
import type { Settled } from './settle.ts';
import { stalledBy } from './stalled-by.ts';

const instance = (annotations = {}): InstanceObject =>
  ({ metadata: { name: 'db', namespace: 'tenant-acme', annotations } }) as InstanceObject;
const nodes = ['Service/db', 'CronJob/db', 'Deployment/db'].map((object) => ({
  object,
})) as InstanceFacts['nodes'];
const settled = (more: Partial<Settled>, plan = {}): Settled =>
  ({ conflicts: [], rejected: [], plan: { lost: [], refused: [], ...plan }, ...more }) as unknown as Settled;
const rejected = (object: string, message = 'not so') => ({ object, message });

describe('of several children that are refused', () => {
  test('each is named, in the order of the Blueprint and not of the answers', () => {
    const { message } = stalledBy(
      instance(),
      settled({ rejected: [rejected('Deployment/db'), rejected('Service/db'), rejected('CronJob/db')] }),
      nodes,
    )!;
    expect(message).toBe(
      'Service/db was refused: not so; CronJob/db was refused: not so; Deployment/db was refused: not so',
    );
  });

  test('each has its share of what a condition can say', () => {
    const long = 'x'.repeat(2_000);
    const { message } = stalledBy(
      instance(),
      settled({ rejected: nodes.map(({ object }) => rejected(object, long)) }),
      nodes,
    )!;
    expect(message.length).toBeLessThanOrEqual(1_024);
    expect(message).toMatch(
      /^Service\/db was refused: x+…; CronJob\/db was refused: x+…; Deployment\/db was refused: x+…$/,
    );
  });
});

test('a permission to make another Secret anew than the one that is lost is told', () => {
  const lost = [{ keys: ['password'], facts: { name: 'db-credentials' } }];
  const told = (annotations: object) =>
    stalledBy(instance(annotations), settled({}, { lost }), nodes)?.message;
  expect(told({})).toMatch(/--overwrite felucca\.dev\/regenerate=db-credentials$/);
  expect(told({ 'felucca.dev/regenerate': 'db' })).toMatch(
    /\(the annotation names db, which has lost nothing\)$/,
  );
});
