import { expect, test } from 'vitest';
import { planFrom, plansOf, sampleOf } from './plans.ts';
import { commonPoints, type Point, pointsOf } from './points.ts';

const write = (verb: string, key: string, status = 200) =>
  ({ request: 1, atMs: 0, verb, key, status, resourceVersion: '1' }) as never;
const event = (type: string, key: string, initial = false) =>
  ({ atMs: 0, type, key, uid: '', resourceVersion: '1', initial }) as never;
const point = (of: Point['of'], type: string, key: string, nth: number): Point => ({ of, type, key, nth });

test('every effective write and every told event of a case is a point', () => {
  const writes = [
    write('apply', 'services/tenant-zc/s'),
    write('apply', 'services/tenant-zc/s'),
    write('apply', 'services/tenant-zc/refused', 409),
    write('apply', 'services/tenant-other/s'),
    write('update', 'leases.coordination.k8s.io/zc/l'),
    write('create', 'events.events.k8s.io/tenant-zc/e'),
  ];
  const events = [
    event('ADDED', 'pods/tenant-zc/main-web-6d4b75cb6d-hv2ks'),
    event('ADDED', 'services/tenant-zc/s', true),
  ];
  expect(pointsOf({ writes, events }, 'zc')).toEqual([
    point('write', 'apply', 'services/tenant-CASE/s', 1),
    point('write', 'apply', 'services/tenant-CASE/s', 2),
    point('event', 'ADDED', 'pods/tenant-CASE/main-web-*', 1),
  ]);
});

test('only what happens in every run can be hit', () => {
  const [a, b, c] = [1, 2, 3].map((nth) => point('event', 'MODIFIED', 'k', nth)) as [Point, Point, Point];
  expect(
    commonPoints([
      [a, b, c],
      [a, b],
      [a, b, c],
    ]),
  ).toEqual([a, b]);
});

const points = [
  point('write', 'apply', 'services/tenant-CASE/s', 1),
  point('event', 'ADDED', 'services/tenant-CASE/s', 1),
];

test('each write has three faults, each event six, and every plan is found again by its id', () => {
  const plans = plansOf('order', points);
  expect(plans).toHaveLength(9);
  expect(new Set(plans.map(({ id }) => id)).size).toBe(9);
  for (const plan of plans) expect(planFrom(plan.id)).toEqual(plan);
});

test.each([
  '',
  'order',
  'order|write:apply:k:1|suppress',
  'order|event:ADDED:k:0|delay',
  'order|read:get:k:1|delay',
])('"%s" is no plan, and the message says how one looks', (id) => {
  expect(() => planFrom(id)).toThrow(/looks like <scenario>\|/);
});

test('a sample has every scenario with every fault, is the same for a seed, and another for another', () => {
  const many = Array.from({ length: 20 }, (_, nth) => point('event', 'MODIFIED', 'k', nth + 1));
  const plans = ['a', 'b', 'c'].flatMap((name) => plansOf(name, [...points, ...many]));
  const sample = sampleOf(plans, 40, 1);
  expect(sample).toHaveLength(40);
  const strata = (of: typeof plans) => new Set(of.map(({ scenario, fault }) => `${scenario} ${fault}`));
  expect(strata(sample)).toEqual(strata(plans));
  expect(sampleOf(plans, 40, 1)).toEqual(sample);
  expect(sampleOf(plans, 40, 2)).not.toEqual(sample);
  expect(new Set(sampleOf(plans, 10_000, 1))).toEqual(new Set(plans));
});
