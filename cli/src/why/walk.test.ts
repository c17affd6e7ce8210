import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type BlueprintObject, desiredChild, type LiveObject } from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import { whyAnswer } from '../commands/why.ts';
import type { InstanceFacts } from '../facts/instance.ts';
import type { PlatformFacts } from '../facts/platform.ts';
import { isProduct, makeProduct } from '../facts/product.ts';
import { seenValue } from '../kube/errors.ts';
import { paintFor } from '../show/paint.ts';
import {
  child,
  condition,
  controlled,
  healthy,
  held,
  lease as leaseOf,
  NOW,
  notReady,
  object,
  warning,
} from './facts-fixture.ts';
import { walk } from './walk.ts';

const runbooks = readdirSync(join(import.meta.dirname, '../../../docs/runbooks'));

type Modifier = (facts: InstanceFacts) => void;

const lease =
  (spec: object, shard = 0): Modifier =>
  ({ platform }) => {
    Object.assign(seenValue(platform.leases[shard]!)!.spec!, spec);
  };
/** Two shards, each with an operator; the Instance belongs to the second. */
const sharded: Modifier = ({ instance, platform }) => {
  instance.metadata.uid = '00000001-0000-4000-8000-000000000000';
  platform.leases = [0, 1].map((shard) => ({
    value: leaseOf(`felucca-operator-${shard}-of-2`, `operator-${shard}`),
  }));
};
const leasesAre =
  (...leases: PlatformFacts['leases']): Modifier =>
  ({ platform }) => {
    platform.leases = leases;
  };
const link =
  (type: string, reason: string): Modifier =>
  ({ platform }) => {
    if ('value' in platform.dataPlane)
      platform.dataPlane.value!.status!.conditions = [condition(type, 'False', reason)];
  };
const tenantIs =
  (reason: string): Modifier =>
  ({ tenant }) => {
    if ('value' in tenant) tenant.value!.status!.conditions = [condition('Ready', 'False', reason)];
  };
const unready = (state: 'progressing' | 'failed', message: string) => ({ state: { state, message } });
const pod = object('Pod', 'db-web-1', { spec: { nodeName: 'n' }, status: { phase: 'Pending' } });
const crashing = object('Pod', 'db-web-1', {
  status: {
    containerStatuses: [{ name: 'web', restartCount: 4, state: { waiting: { reason: 'CrashLoopBackOff' } } }],
  },
});
const claim = object('PersistentVolumeClaim', 'data-db-web-0', { status: { phase: 'Pending' } });
const children =
  (...list: InstanceFacts['children']): Modifier =>
  (facts) => {
    facts.children = list;
  };
const verdict = (reason: string): Modifier => notReady(reason, `${reason} said by the operator`);

/** The DataPlane tells that a row of the Instance's name is not applied. */
const rowRefused =
  (why: string) =>
  ({ platform, instance: { metadata } }: InstanceFacts): void => {
    const message = `1 row is not applied here: Instance ${metadata.namespace}/${metadata.name} (${why})`;
    seenValue(platform.dataPlane)!.status!.conditions!.push(
      condition('RowsRefused', 'True', 'RowsRefused', message),
    );
  };

describe('the first hop that is not as it should be', () => {
  test.each<[string, Modifier[], string, RegExp, RegExp?]>([
    [
      'no operator ever ran',
      [leasesAre({ value: undefined })],
      'operator',
      /no operator leads, and none ever did in namespace felucca-system/,
      /install/,
    ],
    ['the operator gave its Lease back', [lease({ holderIdentity: '' })], 'operator', /the last one stopped/],
    [
      'the operator hangs',
      [lease({ renewTime: '2026-01-01T00:50:00Z' })],
      'operator',
      /renewed its Lease 10m ago/,
    ],
    [
      'the operator of its shard hangs',
      [sharded, lease({ renewTime: '2026-01-01T00:50:00Z' }, 1)],
      'operator',
      /no operator leads shard 1 of 2: operator-1 renewed its Lease 10m ago/,
      /operators that lead other shards take it/,
    ],
    [
      'the operator of its shard gave its Lease back',
      [sharded, lease({ holderIdentity: '' }, 1)],
      'operator',
      /no operator leads shard 1 of 2: the last one stopped/,
      /operators that lead other shards take it/,
    ],
    [
      'its shard never had an operator',
      [sharded, ({ platform }) => (platform.leases = [platform.leases[0]!, { value: undefined }])],
      'operator',
      /no operator leads shard 1 of 2, and none ever did/,
      /operators that lead other shards take it/,
    ],
    [
      'all operators of the shards stopped',
      [sharded, lease({ holderIdentity: '' }), lease({ holderIdentity: '' }, 1)],
      'operator',
      /shard 1 of 2/,
      /start it again/,
    ],
    [
      'it has an operator, and the shard of the link has none',
      [sharded, controlled, lease({ holderIdentity: '' })],
      'link',
      /no operator leads shard 0 of 2/,
    ],
    [
      'it has an operator, and its Tenant waits for one',
      [sharded, tenantIs('NamespaceConflict'), lease({ holderIdentity: '' })],
      'tenant',
      /no operator leads shard 0 of 2/,
    ],
    [
      'it has an operator, and its Blueprint waits for one',
      [sharded, (f) => delete seenValue(f.blueprint)!.status, lease({ holderIdentity: '' })],
      'blueprint',
      /no operator leads shard 0 of 2/,
    ],
    [
      'the operator hangs, although much else is broken',
      [lease({ holderIdentity: '' }), verdict('ChildFailed')],
      'operator',
      /no operator leads/,
    ],
    [
      'its control plane is away',
      [controlled, link('FeedConnected', 'Disconnected')],
      'link',
      /Disconnected/,
      /is the API up/,
    ],
    [
      'the operator never joined',
      [controlled, link('Joined', 'JoinTokenMissing')],
      'link',
      /JoinTokenMissing/,
      /join token/,
    ],
    [
      'the control plane orders another one under its name',
      [rowRefused('NameConflict: it was applied here')],
      'link',
      /NameConflict/,
      /another name/,
    ],
    [
      'the newest row of the control plane is refused',
      [controlled, rowRefused('DigestMismatch: not what was signed')],
      'sync',
      /DigestMismatch/,
      /refused-rows/,
    ],
    [
      'the key of the operator was revoked',
      [controlled, link('FeedConnected', 'CredentialRefused')],
      'link',
      /CredentialRefused/,
      /create a join token/,
    ],
    [
      'another operator took over',
      [controlled, link('FeedConnected', 'Superseded')],
      'link',
      /Superseded/,
      /uninstall.*somebody has its key/,
    ],
    [
      'it is being deleted',
      [(f) => (f.instance.metadata.deletionTimestamp = '2026-01-01T00:59:00Z')],
      'deletion',
      /waits for Deployment\/db-web/,
    ],
    [
      'its deletion is blocked',
      [
        (f) => (f.instance.metadata.deletionTimestamp = '2026-01-01T00:59:00Z'),
        (f) => f.instance.status!.conditions!.push(condition('DeletionBlocked', 'True', 'ChildStillExists')),
      ],
      'deletion',
      /ChildStillExists/,
      /finalizer/,
    ],
    [
      'its Tenant is missing',
      [(f) => (f.tenant = { value: undefined })],
      'tenant',
      /there is no Tenant "acme" for namespace tenant-acme/,
      /apply the Tenant "acme"/,
    ],
    [
      'it is in a namespace that no Tenant can have',
      [(f) => (f.organization = undefined), (f) => (f.instance.metadata.namespace = 'default')],
      'tenant',
      /namespace default is not that of a Tenant/,
      /apply it in the namespace of its Tenant/,
    ],
    [
      'its Tenant is not ready',
      [tenantIs('NamespaceConflict')],
      'tenant',
      /NamespaceConflict/,
      /rename the namespace/,
    ],
    [
      'its Tenant is being deleted',
      [
        tenantIs('Deleting'),
        ({ tenant }) => (seenValue(tenant)!.metadata.deletionTimestamp = '2026-01-01T00:59:00Z'),
      ],
      'tenant',
      /it is being deleted, and waits until its Instances are/,
      /kubectl delete instance db -n tenant-acme; .* cannot be taken back/,
    ],
    [
      'its Tenant is hidden and not ready',
      [(f) => (f.tenant = { hidden: 'no' }), verdict('TenantNotReady')],
      'tenant',
      /said by the operator/,
    ],
    [
      'its Blueprint is missing',
      [(f) => (f.blueprint = { value: undefined })],
      'blueprint',
      /postgres-1-0-0 .* is not on this cluster/,
      /publish/,
    ],
    [
      'its Blueprint is hidden and invalid',
      [(f) => (f.blueprint = { hidden: 'no' }), verdict('BlueprintInvalid')],
      'blueprint',
      /said by the operator/,
      /why blueprint\/postgres-1-0-0`/,
    ],
    [
      'its parameters are wrong and the operator has not looked yet',
      [
        (f) =>
          (f.parameterProblems = [{ path: '/size', message: 'must be one of "small"', remedy: 'choose' }]),
      ],
      'spec',
      /\/size must be one of/,
      /correct the named parameters/,
    ],
    ['its parameters are wrong', [verdict('ParametersInvalid')], 'spec', /said by the operator/],
    [
      'its newest spec is not handled',
      [(f) => (f.instance.metadata.generation = 3)],
      'spec',
      /generation 3 is not handled yet/,
    ],
    ['it is new', [(f) => delete f.instance.status], 'spec', /no operator has handled it yet/],
    [
      'the row it comes from is not signed',
      [
        controlled,
        (f) => (f.instance.status!.conditions![1] = condition('Synced', 'False', 'SignatureInvalid')),
      ],
      'sync',
      /SignatureInvalid/,
      /an alarm/,
    ],
    [
      'its Blueprint is that of somebody else',
      [controlled, ({ blueprint }) => delete seenValue(blueprint)!.metadata.annotations],
      'blueprint',
      /applied on this cluster, and the Instance runs from it/,
      /delete or rename/,
    ],
    [
      'its deletion waits for a person',
      [controlled, held],
      'deletion',
      /the deletion is held/,
      /admin release <data plane> id --yes; if not: felucca admin reject .*release-deletions/,
    ],
    [
      'a child of an earlier version does not go',
      [
        ({ instance }) =>
          instance.status!.conditions!.push(
            condition('DeletionBlocked', 'True', 'ChildStillExists', 'ConfigMap/old waits for acme.io/hold'),
          ),
      ],
      'deletion',
      /ConfigMap\/old/,
      /remove what blocks it/,
    ],
    ['a name is taken', [verdict('NameConflict')], 'plan', /said by the operator/, /delete or rename/],
    ['a child is refused', [verdict('ApplyRejected')], 'plan', /said by the operator/, /API server names/],
    [
      'a pod crashes',
      [
        children(
          child('web', 'Deployment', {
            ...unready('progressing', '0 of 1 replicas are ready'),
            pods: [crashing],
          }),
        ),
      ],
      'Deployment/db-web',
      /0 of 1/,
      /see its log/,
    ],
    [
      'a volume is not bound',
      [
        children(
          child('web', 'StatefulSet', { ...unready('progressing', '0 of 1'), claims: [claim], pods: [pod] }),
        ),
      ],
      'StatefulSet/db-web',
      /0 of 1/,
      /StorageClass/,
    ],
    [
      'a pod cannot mount, which only an event says',
      [
        children(child('web', 'Deployment', { ...unready('progressing', '0 of 1'), pods: [pod] })),
        (f) => (f.events = { value: [warning(pod, 'FailedMount', 'secret "x" not found')] }),
      ],
      'Deployment/db-web',
      /0 of 1/,
      /the event says/,
    ],
    [
      'pods exceed the quota',
      [
        children(child('web', 'Deployment', unready('failed', 'exceeded quota: felucca'))),
        (f) =>
          (f.quotas = {
            value: [
              object('ResourceQuota', 'felucca', { status: { hard: { pods: '3' }, used: { pods: '3' } } }),
            ],
          }),
      ],
      'Deployment/db-web',
      /exceeded quota/,
      /quota raised/,
    ],
    [
      'it is slow',
      [children(child('web', 'Deployment', unready('progressing', '0 of 1')))],
      'Deployment/db-web',
      /0 of 1/,
      /wait/,
    ],
    [
      'a field drifted',
      [(f) => f.instance.status!.conditions!.push(condition('DriftDetected', 'True', 'DriftReported'))],
      'drift',
      /DriftReported/,
      /decide/,
    ],
    ['it is suspended', [verdict('Suspended')], 'ready', /said by the operator/, /resume/],
  ])('is found when %s', (_, modifiers, hop, what, remedy = /./) => {
    const { steps, finding } = walk(healthy(...modifiers));
    expect(steps.find(({ hop: { state } }) => state === 'failed')?.name).toBe(hop);
    expect(finding?.what).toMatch(what);
    expect(finding?.remedy).toMatch(remedy);
    if (finding?.runbook) expect(runbooks).toContain(`${finding.runbook}.md`);
  });

  test('is of a deletion what goes now, and not what follows by itself', () => {
    const going = object('Deployment', 'db-web', {
      metadata: { name: 'db-web', deletionTimestamp: '2026-01-01T00:59:00Z' },
    });
    const goes: Modifier = ({ instance }) => (instance.metadata.deletionTimestamp = '2026-01-01T00:59:00Z');
    const both = [child('net', 'Service'), child('web', 'Deployment', { live: { value: going } })];
    expect(walk(healthy(goes, children(...both))).finding).toMatchObject({
      what: 'it waits for Deployment/db-web to go away',
      look: ['kubectl get deployment db-web -n tenant-acme -o yaml'],
    });
  });

  test('is the link, and the address is to be read with the command that it names', () => {
    expect(walk(healthy(controlled, link('FeedConnected', 'Disconnected'))).finding?.look).toContain(
      'kubectl set env deployment/felucca-operator -n felucca-system --list',
    );
  });

  test('is the child of the lowest wave, however they are listed', () => {
    const late = child('late', 'Deployment', unready('failed', 'late'));
    late.entry.wave = 2;
    const early = child('early', 'Service', unready('progressing', 'early'));
    early.entry.wave = 1;
    expect(walk(healthy(children(late, early))).finding?.object).toBe('Service/db-early');
  });
});

describe('a child that failed', () => {
  const slow = (more: object): Modifier =>
    children(
      child('web', 'Deployment', {
        state: { state: 'failed', reason: 'TooSlow', message: 'not ready within 20 s: 0 of 1', ...more },
        pods: [crashing],
      }),
    );

  test.each([
    ['whoever the Blueprint names', { audience: 'operator' }, 'operator'],
    ['whoever can help its pod, where the Blueprint names nobody', {}, 'tenant'],
  ])('is for %s, by the name that it has there', (_, more, audience) => {
    expect(walk(healthy(slow(more))).finding).toMatchObject({
      reason: 'TooSlow',
      what: 'TooSlow: not ready within 20 s: 0 of 1',
      why: expect.stringContaining('CrashLoopBackOff'),
      audience,
    });
  });

  test('is for them also when its volume is missing or its quota used up', () => {
    const state = { state: 'failed', message: 'exceeded quota: x', audience: 'operator' } as const;
    const both = [
      child('web', 'StatefulSet', { state, claims: [claim] }),
      child('web', 'Deployment', { state }),
    ];
    for (const one of both)
      expect(
        walk(healthy(children({ ...one, state: { ...state, audience: 'tenant' } }))).finding,
      ).toMatchObject({
        audience: 'tenant',
      });
    expect(walk(healthy(children(both[1]!))).finding).toMatchObject({ audience: 'operator' });
  });
});

describe('a child that was made and is gone', () => {
  const gone = (kind: string, ...modifiers: Modifier[]) =>
    walk(
      healthy(
        children(child('web', kind, { live: { value: undefined }, isLost: true, ...lostState })),
        ...modifiers,
      ),
    );
  const lostState = unready('progressing', 'it was made, and somebody deleted it');
  const generating: Modifier = (facts) => {
    const node = { id: 'web', generate: [{ key: 'password', length: 32 }] };
    facts.product = {
      planned: [{ name: 'db-web', compiled: { kind: 'Secret', node } }],
    } as unknown as NonNullable<InstanceFacts['product']>;
  };

  test('is made again, and why says when', () => {
    expect(gone('Deployment').finding).toMatchObject({
      what: 'it was made, and somebody deleted it',
      why: 'the operator makes it anew when it looks next',
      remedy: 'now: felucca reconcile db -n tenant-acme',
    });
  });
  test('is not made again with another generated value', () => {
    expect(gone('Secret', generating).finding).toMatchObject({
      reason: 'GeneratedValueLost',
      why: expect.stringMatching(/password was generated/),
      remedy: expect.stringMatching(
        /put the Secret back from a backup, or .*annotate instance db -n tenant-acme felucca.dev\/regenerate=db-web`/,
      ),
    });
  });
  test('names the Secret also where the operator says so', () => {
    const lost = notReady('GeneratedValueLost', 'password of Secret/db-web was generated and is gone');
    expect(walk(healthy(lost, children(child('web', 'Secret')))).finding).toMatchObject({
      remedy: expect.stringMatching(/annotate instance db -n tenant-acme felucca.dev\/regenerate=db-web`/),
    });
  });
});

describe('what is known all the same', () => {
  const failing = children(
    child('web', 'Deployment', { ...unready('progressing', '0 of 1'), pods: [crashing] }),
  );
  test.each<[string, Modifier[]]>([
    ['no operator leads', [lease({ holderIdentity: '' })]],
    ['the link is down', [controlled, link('FeedConnected', 'Disconnected')]],
  ])('is told beside it when %s: a pod crashes whatever becomes of them', (_, modifiers) => {
    expect(walk(healthy(...modifiers, failing)).finding?.also).toMatch(
      /^Deployment\/db-web: container "web" .*CrashLoopBackOff.*; see its log and correct the parameters$/,
    );
  });
  test('is all that follows from neither, when a deletion is held and the Blueprint is not the ordered one', () => {
    const foreign: Modifier = ({ blueprint }) => delete seenValue(blueprint)!.metadata.annotations;
    const { steps, finding } = walk(healthy(controlled, held, foreign, failing));
    expect(finding).toMatchObject({ reason: 'DeletionHeld' });
    expect(finding?.also).toMatch(
      /^Blueprint\/postgres-1-0-0: it was applied on this cluster, .*; Deployment\/db-web: container "web" .*CrashLoop/,
    );
    expect(steps.at(-1)?.name).toBe('Deployment/db-web');
    expect(walk(healthy(controlled, foreign, verdict('ChildrenProgressing'))).finding).toMatchObject({
      reason: 'NameConflict',
      also: expect.stringMatching(/^Instance\/db: ChildrenProgressing said by the operator/),
    });
  });
  test('is nothing where children are only slow, or go', () => {
    const slow = children(child('web', 'Deployment', unready('progressing', '0 of 1')));
    const goes: Modifier = ({ instance }) => (instance.metadata.deletionTimestamp = '2026-01-01T00:59:00Z');
    for (const modifiers of [[slow], [failing, goes]])
      expect(walk(healthy(lease({ holderIdentity: '' }), ...modifiers)).finding?.also).toBeUndefined();
    expect(walk(healthy(failing)).finding?.also).toBeUndefined();
  });
});

test.each<[string, Modifier[], RegExp]>([
  ['is Ready', [], /is Ready \(for 10m\); all/],
  ['is not Ready, and for how long', [verdict('ChildFailed')], /is not Ready \(for 10m\): ChildFailed\n/],
  [
    'goes, although its last status is of before',
    [
      lease({ holderIdentity: '' }),
      ({ instance: { metadata } }) => (metadata.deletionTimestamp = '2026-01-01T00:59:00Z'),
    ],
    /is being deleted \(for 60s\)\n/,
  ],
  ['runs, and its deletion is held', [controlled, held], /is Ready \(for 10m\), and its deletion is held\n/],
])('the headline says that an Instance %s', (_, modifiers, headline) => {
  const facts = healthy(...modifiers);
  expect(whyAnswer(facts.instance, walk(facts), paintFor(false), NOW).text(false)).toMatch(headline);
});

test('the newest warnings are told as they came: the cause before what came of it', () => {
  const web = object('Deployment', 'db-web');
  const events = ['oldest', 'older', 'old', 'new'].map((message) => warning(web, 'Failed', message));
  const { finding } = walk(
    healthy(children(child('web', 'Deployment', unready('progressing', '0 of 1'))), (f) => {
      f.events = { value: events };
    }),
  );
  expect(finding?.events.map(({ message }) => message)).toEqual(['older', 'old', 'new']);
});

describe('nothing is found', () => {
  test('when all is as it should be', () => {
    const { steps, finding } = walk(healthy());
    expect(finding).toBeUndefined();
    expect(steps.every(({ hop }) => hop.state !== 'unknown')).toBe(true);
  });

  test('of what is hidden from whoever asks, and it is said', () => {
    const facts = healthy(controlled);
    const hidden = { hidden: 'no' };
    Object.assign(facts, { tenant: hidden, blueprint: hidden });
    Object.assign(facts.platform, { leases: [hidden], dataPlane: hidden });
    const { steps, finding } = walk(facts);
    expect(finding).toBeUndefined();
    const unknown = steps.filter(({ hop }) => hop.state === 'unknown').map(({ name }) => name);
    expect(unknown).toEqual(['operator', 'link', 'tenant', 'blueprint']);
  });

  test('of what the operator has not said yet, and that is not called hidden', () => {
    const facts = healthy(controlled);
    seenValue(facts.platform.dataPlane)!.status!.conditions = [];
    const walked = walk(facts);
    expect(walked.finding).toBeUndefined();
    expect(whyAnswer(facts.instance, walked, paintFor(false), NOW).text(false)).toMatch(
      /; what is known is as it should be, 1 hop is not known yet\n[\s\S]*^\? link +the operator has not said yet/m,
    );
  });

  test('of a shard that it does not belong to, and its own is told', () => {
    const { steps, finding } = walk(healthy(sharded, lease({ holderIdentity: '' })));
    expect(finding).toBeUndefined();
    expect(steps[0]!.hop.note).toBe('operator-1 leads shard 1 of 2');
  });

  test('of a Lease of its shard that is hidden, and it is named', () => {
    const hidden = { hidden: 'no' };
    const { steps, finding } = walk(healthy(sharded, leasesAre(hidden, hidden)));
    expect(finding).toBeUndefined();
    expect(steps[0]!.hop).toEqual({
      state: 'unknown',
      note: 'you may not read the Lease felucca-operator-1-of-2 in felucca-system',
    });
  });

  test('of a link that an Instance applied here does not need', () => {
    expect(walk(healthy(link('FeedConnected', 'NotConfigured'))).finding).toBeUndefined();
  });

  test('of a verdict about an older spec', () => {
    const facts = healthy(verdict('ParametersInvalid'), (f) => (f.instance.metadata.generation = 3));
    expect(walk(facts).finding?.what).toMatch(/not handled yet/);
  });
});

describe('the drift hop', () => {
  const differing = (policy: 'correct' | 'ignore'): Modifier => {
    const manifest = { apiVersion: 'v1', kind: 'ConfigMap', data: { text: 'ahoy' } };
    const node = { id: 'web', manifest, ...(policy === 'ignore' ? { drift: { ignore: ['/data'] } } : {}) };
    const spec = { name: 'postgres', version: '1.0.0', parameters: { type: 'object' }, nodes: [node] };
    return (facts) => {
      const made = makeProduct({ spec } as unknown as BlueprintObject, facts.instance);
      if (!isProduct(made)) throw new Error(JSON.stringify(made));
      facts.product = made;
      const [rendered] = made.planned;
      const desired = desiredChild(
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: rendered!.name, namespace: 'tenant-acme' },
          data: { text: 'ahoy' },
        } as never,
        rendered!,
        facts.instance,
      ).object;
      const live = { ...desired, data: { text: 'mutiny' } } as unknown as LiveObject;
      facts.children = [child('web', 'ConfigMap', { live: { value: live } })];
    };
  };
  const drifted = ({ instance }: InstanceFacts) =>
    void instance.status!.conditions!.push(
      condition(
        'DriftDetected',
        'False',
        'DriftCorrected',
        'owned fields are as desired; 1 difference so far',
      ),
    );

  test('compares as diff does, whatever the operator said last', () => {
    const { finding } = walk(healthy(differing('correct'), drifted));
    expect(finding).toMatchObject({
      object: 'ConfigMap/db-web',
      what: '1 owned field is not as desired: /data/text',
      look: ['felucca diff db -n tenant-acme'],
    });
  });
  test('leaves out what the Blueprint leaves alone', () => {
    expect(walk(healthy(differing('ignore'), drifted)).finding).toBeUndefined();
  });
  test('tells of a deletion in as many words as that takes', () => {
    const { finding } = walk(
      healthy(({ instance }) => {
        instance.status!.conditions!.push(condition('DriftDetected', 'True', 'DriftReported'));
        instance.status!.drift = [
          {
            object: 'Service/db-web',
            path: '',
            expected: 'exists',
            actual: 'deleted',
            manager: 'unknown',
            detectedAt: '2026-01-01T00:59:00Z',
            action: 'reported',
          },
        ];
      }),
    );
    expect(finding?.why).toBe('Service/db-web was deleted, as was found at 2026-01-01T00:59:00Z');
  });
  test.each([
    ['RepairsPaused', /changed by somebody at/, /^stop the other writer/],
    ['VolumeGoing', undefined, /^copy the data now/],
  ])('of %s advises what fits', (reason, why, remedy) => {
    const record = {
      ...{ object: 'PersistentVolumeClaim/data-db-0', path: '/metadata/deletionTimestamp', expected: 'none' },
      ...{ actual: 'then', manager: 'unknown', detectedAt: 'now', action: 'reported' as const },
    };
    const { finding } = walk(
      healthy(({ instance: { status } }) => {
        status!.conditions!.push(condition('DriftDetected', 'True', reason));
        status!.drift = [record];
      }),
    );
    expect(finding?.remedy).toMatch(remedy);
    if (why) expect(finding?.why).toMatch(why);
    else expect(finding?.why).toBeUndefined();
  });
  test('says whose word it is where it cannot compare', () => {
    const { steps } = walk(healthy(drifted));
    expect(steps.find(({ name }) => name === 'drift')?.hop.note).toBe(
      'owned fields are as desired; 1 difference so far (the operator says so for 10m)',
    );
  });
});

test('an age is told as kubectl tells it', async () => {
  const { age } = await import('../show/age.ts');
  const ago = (seconds: number) => age(new Date(NOW.getTime() - seconds * 1000), NOW);
  expect(
    [5, 119, 125, 600, 3600, 4 * 3600 + 120, 30 * 3600, 3 * 86_400, 90 * 86_400, 800 * 86_400].map(ago),
  ).toEqual(['5s', '119s', '2m5s', '10m', '60m', '4h2m', '30h', '3d', '90d', '2y']);
});
