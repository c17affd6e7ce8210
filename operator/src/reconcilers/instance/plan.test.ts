import {
  ANNOTATIONS,
  type BlueprintNode,
  type CompiledNode,
  type InventoryEntry,
  LABELS,
  MAX_CHILDREN,
  policyFor,
} from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import type { LiveObject, ManagedFieldsEntry } from '../cluster.ts';
import { type NodeFacts, planInstance } from './plan.ts';

const UID = 'uid-1';
const node = (drift?: BlueprintNode['drift']): CompiledNode => ({
  node: { id: 'web', manifest: {}, ...(drift ? { drift } : {}) },
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  when: [],
  ready: [],
  failed: [],
  body: { kind: 'literal', value: {} },
  dependsOn: new Set(),
  wave: 1,
});
const desired = {
  object: {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: 'site-web',
      namespace: 'tenant-a',
      labels: { [LABELS.instanceUid]: UID, [LABELS.instance]: 'site', [LABELS.node]: 'web' },
      annotations: { [ANNOTATIONS.appliedHash]: 'h1' },
    },
    spec: { replicas: 1, paused: false },
  },
  hash: 'h1',
};
const live = (change: (object: LiveObject) => void = () => undefined): LiveObject => {
  const object = structuredClone(desired.object) as unknown as LiveObject;
  object.metadata.uid = 'child-1';
  change(object);
  return object;
};
const entry: InventoryEntry = {
  node: 'web',
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  name: 'site-web',
  uid: 'child-1',
  wave: 1,
  onDelete: 'Delete',
};
const facts = (change: Partial<NodeFacts> = {}): NodeFacts => ({
  compiled: node(),
  name: 'site-web',
  desired,
  verified: true,
  ...change,
});
const plan = (inventory: InventoryEntry[], ...nodes: NodeFacts[]) => planInstance(UID, inventory, nodes);
const scaled = (object: LiveObject): void => {
  object.spec = { ...object.spec, replicas: 3 };
};
const other = (manager: string): ManagedFieldsEntry[] => [
  {
    manager,
    operation: 'Update',
    time: '2026-01-01T00:00:00Z',
    fieldsV1: { 'f:spec': { 'f:replicas': {} } },
  },
];

describe('the plan', () => {
  test('does nothing when the child is as desired', () => {
    expect(plan([entry], facts({ live: live(), verified: false }))).toMatchObject({
      apply: [],
      drift: [],
      unverified: [],
    });
  });

  test('looks again before it takes a child for deleted; a new one needs no look', () => {
    const unread = facts({ verified: false });
    expect(plan([entry], unread)).toMatchObject({ apply: [], drift: [], unverified: [{ name: 'site-web' }] });
    expect(plan([], unread)).toMatchObject({ apply: [{ reason: 'create' }], drift: [], unverified: [] });
  });

  test('knows a deleted child from one that never was', () => {
    expect(plan([entry], facts())).toMatchObject({ apply: [{ reason: 'repair' }], drift: [{ path: '' }] });
    const { uid: _, ...ahead } = entry;
    expect(plan([ahead], facts())).toMatchObject({ apply: [{ reason: 'create' }], drift: [] });
  });

  test('calls a change of what we want an update and not drift', () => {
    const old = live((object) => {
      object.metadata.annotations = { [ANNOTATIONS.appliedHash]: 'h0' };
      scaled(object);
    });
    expect(plan([entry], facts({ live: old, verified: false }))).toMatchObject({
      apply: [{ reason: 'update' }],
      drift: [],
    });
  });

  describe('of a child that has another hash than was applied last', () => {
    const withHash = (hash: string | undefined, manager?: string): LiveObject =>
      live((object) => {
        object.metadata.annotations = hash === undefined ? {} : { [ANNOTATIONS.appliedHash]: hash };
        scaled(object);
        if (manager === undefined) return;
        const fieldsV1 = {
          'f:metadata': { 'f:annotations': { [`f:${ANNOTATIONS.appliedHash}`]: {} } },
          'f:spec': { 'f:replicas': {} },
        };
        object.metadata.managedFields = [{ manager, operation: 'Apply', fieldsV1 }];
      });

    test('looks who did it', () => {
      const cached = facts({ live: withHash('h0'), wasApplied: true, verified: false });
      expect(plan([entry], cached)).toMatchObject({ apply: [], drift: [], unverified: [{}] });
    });

    test.each([
      ['put an older version back', withHash('h0', 'argocd')],
      ['took the hash away', withHash(undefined)],
    ])('calls it drift when somebody %s', (_, changed) => {
      const { apply, drift } = plan([entry], facts({ live: changed, wasApplied: true }));
      expect(apply).toMatchObject([{ reason: 'repair', object: desired.object }]);
      expect(drift.map(({ path }) => path)).toEqual([
        '/metadata/annotations/felucca.dev~1applied-hash',
        '/spec/replicas',
      ]);
    });

    test('calls it an update when another operator of ours did it', () => {
      const changed = withHash('h0', 'felucca-operator');
      expect(plan([entry], facts({ live: changed, wasApplied: true }))).toMatchObject({
        apply: [{ reason: 'update' }],
        drift: [],
      });
    });
  });

  test('never writes a child only to say since when it is wanted like this', () => {
    const dated = structuredClone(desired);
    Object.assign(dated.object.metadata.annotations, { [ANNOTATIONS.changedAt]: '2026-01-01T00:00:00Z' });
    expect(plan([entry], facts({ desired: dated, live: live() }))).toMatchObject({ apply: [], drift: [] });
  });

  test('does not call it drift from a cache', () => {
    expect(plan([entry], facts({ live: live(scaled), verified: false }))).toMatchObject({
      apply: [],
      drift: [],
      unverified: [{ name: 'site-web' }],
    });
  });

  test('sets an owned field back that somebody took over', () => {
    const changed = live((object) => {
      scaled(object);
      object.metadata.managedFields = other('kubectl');
    });
    expect(plan([entry], facts({ live: changed }))).toMatchObject({
      apply: [{ reason: 'repair', object: { spec: { replicas: 1 } } }],
      drift: [{ path: '/spec/replicas', expected: 1, actual: 3, policy: 'correct' }],
    });
  });

  test('takes a difference in a field that is still ours for the API server’s way to write it', () => {
    const normalised = live((object) => {
      scaled(object);
      object.metadata.managedFields = [
        { manager: 'felucca-operator', operation: 'Apply', fieldsV1: { 'f:spec': { 'f:replicas': {} } } },
      ];
    });
    expect(plan([entry], facts({ live: normalised }))).toMatchObject({
      apply: [],
      drift: [],
      unverified: [],
    });
  });

  test('reports without repair, or ignores, where the Blueprint says so', () => {
    const changed = live((object) => {
      scaled(object);
      object.metadata.managedFields = other('hpa');
    });
    const report = facts({ live: changed, compiled: node({ report: ['/spec'] }) });
    expect(plan([entry], report)).toMatchObject({ apply: [], drift: [{ policy: 'report' }] });
    const ignore = facts({ live: changed, compiled: node({ ignore: ['/spec/replicas'] }) });
    expect(plan([entry], ignore)).toMatchObject({ apply: [], drift: [], unverified: [] });
  });

  test('keeps an ignored field at its live value when it applies for another reason', () => {
    const changed = live((object) => {
      scaled(object);
      object.metadata.annotations = { [ANNOTATIONS.appliedHash]: 'h0' };
      object.metadata.managedFields = other('hpa');
    });
    const ignore = facts({ live: changed, compiled: node({ ignore: ['/spec/replicas'] }) });
    expect(plan([entry], ignore).apply[0]?.object).toMatchObject({ spec: { replicas: 3 } });
    expect(plan([entry], { ...ignore, verified: false })).toMatchObject({ apply: [], unverified: [{}] });
  });

  test('changes an ignored field that nobody else has written', () => {
    const older = live((object) => {
      scaled(object);
      object.metadata.annotations = { [ANNOTATIONS.appliedHash]: 'h0' };
    });
    const ignore = facts({ live: older, compiled: node({ default: 'ignore' }) });
    expect(plan([entry], ignore).apply[0]?.object).toEqual(desired.object);
  });

  test('never takes over an object that is not ours', () => {
    const foreign = live((object) => {
      object.metadata.labels = {};
    });
    expect(plan([], facts({ live: foreign }))).toMatchObject({
      apply: [],
      conflicts: [{ facts: { name: 'site-web' }, why: expect.stringContaining('label') }],
    });
  });

  test('leaves a child alone that is on its way out', () => {
    const going = live((object) => {
      scaled(object);
      object.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
    });
    expect(plan([entry], facts({ live: going }))).toMatchObject({ apply: [], drift: [] });
  });

  test('removes what the Blueprint no longer wants and keeps it in the inventory until it is gone', () => {
    expect(plan([entry])).toMatchObject({ remove: [entry], inventory: [entry] });
  });

  test('keeps the entry of a node that waits', () => {
    const waiting: NodeFacts = {
      compiled: node(),
      name: 'site-web',
      verified: true,
      waitingFor: 'x.y',
    };
    expect(plan([entry], waiting)).toMatchObject({
      waiting: [{ node: 'web', field: 'x.y' }],
      inventory: [entry],
      remove: [],
    });
  });

  test('removes the child of exactly the item that is gone', () => {
    const item = (key: string): InventoryEntry => ({ ...entry, name: `site-web-${key}`, key, uid: key });
    const kept = facts({ name: 'site-web-a', each: { key: 'a', value: 1n, index: 0n }, live: live() });
    expect(plan([item('a'), item('b')], kept)).toMatchObject({
      remove: [{ name: 'site-web-b' }],
      apply: [],
      inventory: [{ name: 'site-web-b' }, { name: 'site-web-a', key: 'a' }],
    });
  });

  test('makes new children only as the ones on their way out leave room in the inventory', () => {
    const old = Array.from({ length: MAX_CHILDREN - 1 }, (_, i) => ({ ...entry, name: `old-${i}` }));
    const wanted = ['site-web-a', 'site-web-b'].map((name) => facts({ name }));
    const { inventory, apply, waiting } = plan(old, ...wanted);
    expect(inventory).toHaveLength(MAX_CHILDREN);
    expect(apply.map(({ facts }) => facts.name)).toEqual(['site-web-a']);
    expect(waiting).toMatchObject([{ name: 'site-web-b' }]);
  });
});

describe('a change of a field that Kubernetes fixes', () => {
  const job = (onImmutable?: 'Replace' | 'Refuse'): CompiledNode => ({
    ...node(),
    kind: 'Job',
    apiVersion: 'batch/v1',
    node: { id: 'web', manifest: {}, ...(onImmutable ? { onImmutable } : {}) },
  });
  const of = (kind: string, spec: object, hash: string) => ({
    ...structuredClone(desired.object),
    kind,
    metadata: {
      ...structuredClone(desired.object.metadata),
      annotations: { [ANNOTATIONS.appliedHash]: hash },
    },
    spec,
  });
  const old = { ...of('Job', { template: { a: 1 } }, 'h0') } as unknown as LiveObject;
  old.metadata.uid = 'child-1';
  const wanted = { object: of('Job', { template: { a: 2 } }, 'h1'), hash: 'h1' };
  const known: InventoryEntry = { ...entry, apiVersion: 'batch/v1', kind: 'Job' };
  const change = (more: Partial<NodeFacts> = {}): NodeFacts =>
    facts({ compiled: job('Replace'), desired: wanted, live: old, ...more });

  test('is refused with child, field and remedy, unless the Blueprint lets the child be replaced', () => {
    for (const policy of [undefined, 'Refuse'] as const) {
      const refused = plan([known], change({ compiled: job(policy) }));
      expect(refused).toMatchObject({
        apply: [],
        replace: [],
        refused: [{ reason: 'ReplaceRefused', message: expect.stringMatching(/Job\/site-web: .*template/) }],
        inventory: [{ uid: 'child-1' }],
      });
    }
  });

  test('replaces nothing on the word of a cache', () => {
    expect(plan([known], change({ verified: false }))).toMatchObject({
      replace: [],
      unverified: [{ name: 'site-web' }],
      inventory: [{ uid: 'child-1' }],
    });
  });

  test('gives up the UID of what goes, so that its end is no drift', () => {
    const replacing = plan([known], change());
    expect(replacing).toMatchObject({ apply: [], refused: [], replace: [{ live: { kind: 'Job' } }] });
    const [ahead] = replacing.inventory;
    expect(ahead).not.toHaveProperty('uid');
    const { live: _, ...gone } = change();
    expect(plan([ahead as InventoryEntry], gone)).toMatchObject({ apply: [{ reason: 'create' }], drift: [] });
  });

  test('is impossible where it would destroy data, whatever the Blueprint says', () => {
    const set = (serviceName: string, hash: string) => of('StatefulSet', { serviceName }, hash);
    const given = change({
      compiled: { ...job('Replace'), kind: 'StatefulSet', apiVersion: 'apps/v1' },
      live: set('a', 'h0') as unknown as LiveObject,
      desired: { object: set('b', 'h1'), hash: 'h1' },
    });
    expect(plan([], given)).toMatchObject({
      apply: [],
      replace: [],
      refused: [{ reason: 'ChangeImpossible' }],
    });
  });

  test('is known from the words of the API server, where the objects do not show it', () => {
    const unseen = change({ live: { ...old, spec: { template: { a: 2 } } } });
    expect(plan([known], unseen).apply).toHaveLength(1);
    expect(plan([known], { ...unseen, immutable: 'field is immutable' })).toMatchObject({
      apply: [],
      replace: [{ facts: { name: 'site-web' } }],
    });
  });

  test('begins no fight: what somebody else made is not replaced', () => {
    const theirs = structuredClone(old);
    theirs.metadata.annotations = { [ANNOTATIONS.appliedHash]: 'h1' };
    expect(plan([known], change({ live: theirs }))).toMatchObject({
      replace: [],
      refused: [{ message: expect.stringContaining('made by somebody else') }],
    });
  });
});

test.each([
  ['/spec/replicas', undefined, 'correct'],
  ['/spec/replicas', { default: 'report' }, 'report'],
  ['/spec/replicas', { ignore: ['/spec'] }, 'ignore'],
  ['/spec/replicas', { ignore: ['/spec'], report: ['/spec/replicas'] }, 'report'],
  ['/spec/replicasX', { ignore: ['/spec/replicas'] }, 'correct'],
  ['/metadata/labels/felucca.dev~1instance-uid', { default: 'ignore' }, 'correct'],
  ['/metadata/labels', { ignore: ['/metadata/labels'] }, 'correct'],
  ['/metadata/labels/team', { default: 'ignore' }, 'ignore'],
  ['/metadata/ownerReferences', { default: 'report' }, 'correct'],
] as const)('the policy of %s under %j is %s', (path, drift, policy) => {
  expect(policyFor(node(drift as BlueprintNode['drift']).node, path)).toBe(policy);
});

describe('a Secret with generated values', () => {
  const secret = {
    ...node(),
    kind: 'Secret',
    node: { id: 'web', manifest: {}, generate: [{ key: 'p', length: 9 }] },
  };
  const generated = (object: Partial<NodeFacts>): NodeFacts => facts({ compiled: secret, ...object });
  const known = { ...entry, kind: 'Secret' };
  const keyless = live();

  test.each([
    ['was deleted', generated({}), ['p']],
    ['lost its key', generated({ live: keyless }), ['p']],
    ['has it', generated({ live: { ...keyless, data: { p: 'eA==' } } }), undefined],
    ['may be filled anew', generated({ mayRegenerate: true }), undefined],
    [
      'gets a key with a new version',
      generated({ live: keyless, desired: { ...desired, hash: 'h2' } }),
      undefined,
    ],
    [
      'lost a key with its hash',
      generated({ live: keyless, desired: { ...desired, hash: 'h2' }, wasApplied: true }),
      ['p'],
    ],
  ])('that %s', (_, given, lost) => {
    const plan = planInstance(UID, [known], [given]);
    expect(plan.lost[0]?.keys).toEqual(lost);
    if (lost) expect(plan.apply).toEqual([]);
  });

  test.each([
    ['was deleted', {}],
    ['lost its key', { live: keyless }],
  ])('that %s is no drift any more once a person lets it be filled anew', (_, given) => {
    const wanted = { ...desired, object: { ...desired.object, data: { p: 'eA==' } } };
    const plan = planInstance(UID, [known], [generated({ ...given, desired: wanted, mayRegenerate: true })]);
    expect([plan.drift, plan.lost, plan.apply.length]).toEqual([[], [], 1]);
    expect(plan.apply[0]?.reason).not.toBe('repair');
  });

  test('that was applied, and that no status tells of yet, is looked for before it is made again', () => {
    const { uid: _, ...announced } = known;
    const plan = planInstance(UID, [announced], [generated({ wasApplied: true, verified: false })]);
    expect([plan.unverified.length, plan.apply]).toEqual([1, []]);
    const gone = planInstance(UID, [announced], [generated({ wasApplied: true, verified: true })]);
    expect([gone.unverified, gone.apply[0]?.reason]).toEqual([[], 'create']);
  });

  test('is filled when it never existed', () => {
    const { uid: _, ...announced } = known;
    const plan = planInstance(UID, [announced], [generated({})]);
    expect(plan.lost).toEqual([]);
    expect(plan.apply).toHaveLength(1);
  });
});
