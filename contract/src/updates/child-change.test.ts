import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../resources/object.ts';
import { type ChangeEffect, changeOf } from './child-change.ts';
import { liveWithDesired, twoRenderings } from './compare.ts';

const node = { id: 'it', onImmutable: 'Replace' as const };
const object = (kind: string, body: object): KubeObject => ({
  apiVersion: 'v1',
  kind,
  metadata: { name: 'site-it' },
  ...body,
});
const spec = (value: object) => ({ spec: value });
const pods = (image: string) => ({ template: { spec: { containers: [{ name: 'a', image }] } } });
const claim = (storage: string, more: object = {}) =>
  spec({ accessModes: ['ReadWriteOnce'], resources: { requests: { storage } }, ...more });
const template = (storage: string) => [{ metadata: { name: 'data' }, ...claim(storage) }];

// What kube-apiserver 1.36 says to each of them is tried in operator/test/reconcilers-updates.test.ts.
const CHANGES: [string, string, object, object, ChangeEffect][] = [
  ['nothing', 'ConfigMap', { data: { a: '1' } }, { data: { a: '1' } }, 'unchanged'],
  ['data', 'ConfigMap', { data: { a: '1' } }, { data: { a: '2' } }, 'inPlace'],
  [
    'sealed data',
    'ConfigMap',
    { immutable: true, data: {} },
    { immutable: true, data: { a: '1' } },
    'replace',
  ],
  ['the seal', 'ConfigMap', { immutable: true }, {}, 'replace'],
  ['replicas', 'Deployment', spec({ replicas: 1 }), spec({ replicas: 2 }), 'inPlace'],
  ['an image', 'Deployment', spec(pods('a:1')), spec(pods('a:2')), 'restart'],
  ['a selector', 'Deployment', spec({ selector: { a: '1' } }), spec({ selector: { a: '2' } }), 'replace'],
  ['an image', 'StatefulSet', spec(pods('a:1')), spec(pods('a:2')), 'restart'],
  ...['replicas', 'ordinals', 'updateStrategy', 'revisionHistoryLimit', 'minReadySeconds'].map(
    (field): [string, string, object, object, ChangeEffect] => [
      field,
      'StatefulSet',
      spec({ [field]: 1 }),
      spec({ [field]: 2 }),
      'inPlace',
    ],
  ),
  [
    'who keeps its volumes',
    'StatefulSet',
    spec({}),
    spec({ persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain' } }),
    'inPlace',
  ],
  ['its service', 'StatefulSet', spec({ serviceName: 'a' }), spec({ serviceName: 'b' }), 'impossible'],
  ['its service, gone', 'StatefulSet', spec({ serviceName: 'a' }), spec({}), 'impossible'],
  ['the order of its pods', 'StatefulSet', spec({}), spec({ podManagementPolicy: 'Parallel' }), 'impossible'],
  [
    'the size of its volumes',
    'StatefulSet',
    spec({ volumeClaimTemplates: template('1Gi') }),
    spec({ volumeClaimTemplates: template('2Gi') }),
    'impossible',
  ],
  [
    'the same size, written otherwise',
    'StatefulSet',
    spec({ volumeClaimTemplates: template('1Gi') }),
    spec({ volumeClaimTemplates: template('1024Mi') }),
    'unchanged',
  ],
  [
    'a volume less',
    'StatefulSet',
    spec({ volumeClaimTemplates: template('1Gi') }),
    spec({ replicas: 1 }),
    'impossible',
  ],
  ['an image', 'Job', spec(pods('a:1')), spec(pods('a:2')), 'replace'],
  ['parallelism', 'Job', spec({ parallelism: 1 }), spec({ parallelism: 2 }), 'inPlace'],
  [
    'an image',
    'CronJob',
    spec({ jobTemplate: { spec: pods('1') } }),
    spec({ jobTemplate: { spec: pods('2') } }),
    'inPlace',
  ],
  ['ports', 'Service', spec({ ports: [{ port: 1 }] }), spec({ ports: [{ port: 2 }] }), 'inPlace'],
  ['headless', 'Service', spec({ type: 'ClusterIP' }), spec({ clusterIP: 'None' }), 'replace'],
  ['no longer headless', 'Service', spec({ clusterIP: 'None' }), spec({ type: 'ClusterIP' }), 'replace'],
  ['a type', 'Service', spec({ type: 'ClusterIP' }), spec({ type: 'LoadBalancer' }), 'inPlace'],
  ['a type', 'Secret', { type: 'Opaque' }, { type: 'kubernetes.io/tls' }, 'impossible'],
  ['data', 'Secret', { data: { a: 'eA==' } }, { data: { a: 'eQ==' } }, 'inPlace'],
  ['more room', 'PersistentVolumeClaim', claim('1Gi'), claim('2Gi'), 'inPlace'],
  ['less room', 'PersistentVolumeClaim', claim('2Gi'), claim('1Gi'), 'impossible'],
  [
    'back from growth that failed',
    'PersistentVolumeClaim',
    { ...claim('9Gi'), status: { capacity: { storage: '1Gi' } } },
    claim('2Gi'),
    'inPlace',
  ],
  ['its class', 'PersistentVolumeClaim', claim('1Gi'), claim('1Gi', { storageClassName: 'x' }), 'impossible'],
  ['a rule', 'NetworkPolicy', spec({ ingress: [] }), spec({ ingress: [{}] }), 'inPlace'],
];

describe('a change', () => {
  test.each(CHANGES)('of %s of a %s', (_, kind, before, after, effect) => {
    for (const compare of [liveWithDesired, twoRenderings])
      expect(changeOf(node, object(kind, before), object(kind, after), compare).effect).toBe(effect);
  });

  test('names the field, the child and the remedy when it can’t be made', () => {
    const set = (serviceName: string) => object('StatefulSet', spec({ serviceName }));
    expect(changeOf(node, set('a'), set('b'), liveWithDesired)).toEqual({
      effect: 'impossible',
      fields: ['/spec/serviceName'],
      refusal: expect.stringMatching(
        /^StatefulSet\/site-it: \/spec\/serviceName cannot change .* would destroy the volumes .*; set the old/,
      ),
    });
  });

  test('replaces a child only where the Blueprint says so', () => {
    const job = (image: string) => object('Job', spec(pods(image)));
    const change = changeOf({ id: 'it' }, job('a:1'), job('a:2'), liveWithDesired);
    expect(change).toMatchObject({ effect: 'replace', refusal: expect.stringContaining('onImmutable') });
    expect(changeOf(node, job('a:1'), job('a:2'), liveWithDesired).refusal).toBeUndefined();
  });

  test('is found however many other fields changed before it', () => {
    const many = (n: number) => Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`a${i}`, `${n}`]));
    const set = (n: number) => ({
      ...object('StatefulSet', spec({ serviceName: `s${n}` })),
      metadata: { name: 'x', labels: many(n) },
    });
    expect(changeOf(node, set(1), set(2), liveWithDesired).effect).toBe('impossible');
  });
});
