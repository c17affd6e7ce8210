import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../src/index.ts';
import { waitUntil } from '../src/process/wait-until.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ name: 'test-kwok', provider: 'kwok', nodes: 3 });
});
afterAll(() => cluster?.stop());

const apply = (object: unknown) => cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(object) });

function deployment(
  name: string,
  replicas: number,
  labels: Record<string, string> = {},
  image = 'example.test/any:1',
) {
  const app = { app: name, ...labels };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: app },
        spec: { containers: [{ name: 'c', image }] },
      },
    },
  };
}

test('it says that no container runs', () => {
  expect(cluster.realContainers).toBe(false);
});

test('a Deployment becomes Ready and its Service gets endpoints', async () => {
  await apply(deployment('web', 20));
  await cluster.kubectl(['expose', 'deployment', 'web', '--port=80']);
  await cluster.kubectl(['rollout', 'status', 'deployment/web', '--timeout=30s']);
  const addresses = await waitUntil(
    '20 endpoints',
    async () => {
      const path = 'jsonpath={.items[*].endpoints[*].addresses[0]}';
      const list = await cluster.kubectl([
        'get',
        'endpointslices',
        '-l',
        'kubernetes.io/service-name=web',
        '-o',
        path,
      ]);
      return new Set(list.split(' ')).size === 20 ? list : undefined;
    },
    { timeoutMs: 10_000 },
  );
  expect(addresses).toBeTruthy();
});

test('a Job completes', async () => {
  const template = {
    spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'example.test/any:1' }] },
  };
  await apply({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'once' }, spec: { template } });
  await cluster.kubectl(['wait', '--for=condition=complete', 'job/once', '--timeout=30s']);
});

test('a claim binds, and its volume goes with it', async () => {
  await apply({
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'db' },
    spec: {
      serviceName: 'db',
      selector: { matchLabels: { app: 'db' } },
      template: {
        metadata: { labels: { app: 'db' } },
        spec: { containers: [{ name: 'c', image: 'example.test/any:1' }] },
      },
      volumeClaimTemplates: [
        {
          metadata: { name: 'data' },
          spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
        },
      ],
    },
  });
  await cluster.kubectl(['rollout', 'status', 'statefulset/db', '--timeout=30s']);
  expect(await cluster.kubectl(['get', 'pvc', 'data-db-0', '-o', 'jsonpath={.status.phase}'])).toBe('Bound');
  await cluster.kubectl(['delete', 'statefulset', 'db']);
  await cluster.kubectl(['delete', 'pvc', 'data-db-0']);
  await cluster.kubectl(['wait', '--for=delete', 'pv', '--all', '--timeout=30s']);
});

test('a pod can be asked to crash or to stay unready, and an image not to come', async () => {
  await apply(deployment('crashes', 1, { 'simulate.felucca.dev/pod': 'crash' }));
  await apply(deployment('waits', 1, { 'simulate.felucca.dev/pod': 'never-ready' }));
  await apply(deployment('imageless', 1, {}, 'registry.invalid/never:1'));
  const state = (app: string, path: string) =>
    cluster.kubectl(['get', 'pods', '-l', `app=${app}`, '-o', `jsonpath={.items[0].status.${path}}`]);
  await waitUntil(
    'the crash',
    async () => (await state('crashes', 'containerStatuses[0].state.waiting.reason')) === 'CrashLoopBackOff',
    { timeoutMs: 10_000 },
  );
  await waitUntil('the pod to run', async () => (await state('waits', 'phase')) === 'Running', {
    timeoutMs: 10_000,
  });
  expect(await state('waits', 'containerStatuses[0].ready')).toBe('false');
  await waitUntil(
    'the image not to come',
    async () =>
      (await state('imageless', 'containerStatuses[0].state.waiting.reason')) === 'ImagePullBackOff',
    { timeoutMs: 10_000 },
  );
});
