import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { KubeObject } from '@felucca/contract';
import { type Cluster, definitionsEstablished, startCluster } from '@felucca/dev';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import {
  addFinalizer,
  EventRecorder,
  GVR,
  HttpTransport,
  isConflict,
  KubeClient,
  kubeconfigEndpoint,
  removeFinalizer,
} from '../src/runtime/index.ts';
import { configMap, log, openSession, type Session, series, until } from './runtime/session.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ name: `runtime-client-${process.pid}`, provider: 'bare' });
  const crds = new URL('../../crds/', import.meta.url).pathname;
  await cluster.kubectl(['apply', '-f', `${crds}felucca.dev_tenants.yaml`]);
  await definitionsEstablished(cluster);
});
afterAll(() => cluster?.stop());

interface AdmissionReview {
  apiVersion: string;
  kind: string;
  request: { uid: string };
}
type ConfigMap = KubeObject & { data?: Record<string, string> };
const apply = (
  session: Session,
  object: KubeObject,
  fieldManager: string,
  force = true,
): Promise<ConfigMap> =>
  session.client.apply<ConfigMap>(GVR.ConfigMap, 'default', object.metadata.name, object, {
    fieldManager,
    force,
  });

test('an apply that takes a field from another manager is a conflict, unless it is forced', async () => {
  const session = openSession(cluster);
  await apply(session, configMap('shared', { v: 'ours' }), 'first');
  const taking = apply(session, configMap('shared', { v: 'theirs' }), 'second', false);
  await expect(taking).rejects.toSatisfy(isConflict);
  await expect(taking).rejects.toThrow(/conflict with "first"/);
  expect((await apply(session, configMap('shared', { v: 'theirs' }), 'second')).data).toEqual({
    v: 'theirs',
  });
});

test('an apply that changes nothing leaves the version; a lean one tells the version all the same', async () => {
  const { client } = openSession(cluster);
  const object = configMap('lean', { v: '1' });
  const options = { fieldManager: 'test' };
  const first = await client.apply(GVR.ConfigMap, 'default', 'lean', object, options);
  const second = await client.applyLean(GVR.ConfigMap, 'default', 'lean', object, options);
  expect(second.resourceVersion).toBe(first.metadata.resourceVersion);
});

test('a delete hits exactly one UID', async () => {
  const { client } = openSession(cluster);
  const first = await client.create(GVR.ConfigMap, 'default', configMap('replaced'));
  expect(await client.delete(GVR.ConfigMap, 'default', 'replaced', { uid: first.metadata.uid! })).toBe(
    'gone',
  );
  const second = await client.create(GVR.ConfigMap, 'default', configMap('replaced'));
  expect(await client.delete(GVR.ConfigMap, 'default', 'replaced', { uid: first.metadata.uid! })).toBe(
    'gone',
  );
  expect((await client.get(GVR.ConfigMap, 'default', 'replaced'))?.metadata.uid).toBe(second.metadata.uid);
  const outdated = { uid: second.metadata.uid!, resourceVersion: '1' };
  await expect(client.delete(GVR.ConfigMap, 'default', 'replaced', outdated)).rejects.toSatisfy(isConflict);
});

test('of a Service too it is known at once whether it is gone, although the answer is the Service', async () => {
  const { client } = openSession(cluster);
  const service = (name: string, finalizers: string[] = []): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default', finalizers },
    spec: { clusterIP: 'None', ports: [{ port: 80 }] },
  });
  const free = await client.create(GVR.Service, 'default', service('free'));
  expect(await client.delete(GVR.Service, 'default', 'free', { uid: free.metadata.uid! })).toBe('gone');
  expect(await client.get(GVR.Service, 'default', 'free')).toBeUndefined();
  const held = await client.create(GVR.Service, 'default', service('held', ['example.org/theirs']));
  for (const time of ['first', 'second'])
    expect(await client.delete(GVR.Service, 'default', 'held', { uid: held.metadata.uid! }), time).toBe(
      'going',
    );
  await removeFinalizer(client, GVR.Service, held, 'example.org/theirs');
  expect(await client.get(GVR.Service, 'default', 'held')).toBeUndefined();
});

test('a delete that a webhook refuses as a conflict is a conflict: the object is there', async () => {
  const { client } = openSession(cluster);
  const refusing = await refuseDeletes(409);
  const kept = await client.create(GVR.ConfigMap, 'default', {
    ...configMap('kept'),
    metadata: { name: 'kept', namespace: 'default', labels: refusing },
  });
  const uid = kept.metadata.uid!;
  await expect(client.delete(GVR.ConfigMap, 'default', 'kept', { uid })).rejects.toMatchObject({
    status: 409,
    message: expect.stringContaining('denied the request: in use'),
  });
});

/** A webhook that refuses to delete what has the returned labels, with this code. */
async function refuseDeletes(code: number): Promise<Record<string, string>> {
  const pki = (name: string): Buffer => readFileSync(`${cluster.stateDir}/pki/${name}`);
  const server = createServer(
    { cert: pki('apiserver.crt'), key: pki('apiserver.key') },
    async (request, response) => {
      const { apiVersion, kind, request: review } = (await json(request)) as AdmissionReview;
      const status = { code, message: 'in use' };
      const body = { apiVersion, kind, response: { uid: review.uid, allowed: false, status } };
      response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const labels = { refused: String(code) };
  const webhook = {
    name: 'refuses.example.org',
    clientConfig: {
      url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
      caBundle: Buffer.from(cluster.caPem).toString('base64'),
    },
    objectSelector: { matchLabels: labels },
    rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['DELETE'], resources: ['configmaps'] }],
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    timeoutSeconds: 5,
  };
  const configuration = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'refuses' },
    webhooks: [webhook],
  };
  await cluster.kubectl(['create', '-f', '-'], { stdin: JSON.stringify(configuration) });
  onTestFinished(async () => {
    await cluster.kubectl(['delete', 'validatingwebhookconfiguration', 'refuses']);
  });
  await until('the webhook to be asked', async () => {
    const probe = { name: 'probe', namespace: 'default', labels };
    await cluster.kubectl(['apply', '-f', '-'], {
      stdin: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: probe }),
    });
    await expect(cluster.kubectl(['delete', 'configmap', 'probe'])).rejects.toThrow('in use');
  });
  return labels;
}

test('what is not there is undefined, what is there already is a conflict with a reason', async () => {
  const { client } = openSession(cluster);
  expect(await client.get(GVR.ConfigMap, 'default', 'nobody')).toBeUndefined();
  await client.create(GVR.ConfigMap, 'default', configMap('twice'));
  await expect(client.create(GVR.ConfigMap, 'default', configMap('twice'))).rejects.toMatchObject({
    status: 409,
    reason: 'AlreadyExists',
  });
});

test('a status is applied through its subresource and leaves the spec alone', async () => {
  const { client } = openSession(cluster);
  const tenant = { apiVersion: 'felucca.dev/v1alpha1', kind: 'Tenant', metadata: { name: 'acme' } };
  await client.apply(
    GVR.Tenant,
    undefined,
    'acme',
    { ...tenant, spec: { organizationId: 'acme' } } as KubeObject,
    { fieldManager: 'test' },
  );
  const status = { observedGeneration: 1 };
  const written = await client.applyStatus<KubeObject<object, typeof status>>(
    GVR.Tenant,
    undefined,
    'acme',
    { ...tenant, status } as KubeObject,
    { fieldManager: 'felucca-status' },
  );
  expect(written.status).toMatchObject(status);
  expect(written.spec).toMatchObject({ organizationId: 'acme' });
});

test('kinds that are not in the table are found by discovery, also those installed later', async () => {
  const { client } = openSession(cluster);
  expect(await client.resolve('v1', 'PersistentVolume')).toMatchObject({
    resource: 'persistentvolumes',
    namespaced: false,
  });
  expect(await client.resolve('example.org/v1', 'Widget')).toBeUndefined();
  const crd = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.example.org' },
    spec: {
      group: 'example.org',
      scope: 'Namespaced',
      names: { plural: 'widgets', kind: 'Widget' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  };
  await cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(crd) });
  await until(
    'the new kind',
    async () => expect((await client.resolve('example.org/v1', 'Widget'))?.resource).toBe('widgets'),
    10_000,
  );
});

test('one finalizer is added and removed without touching the others', async () => {
  const { client } = openSession(cluster);
  const created = await client.create<KubeObject>(GVR.ConfigMap, 'default', configMap('final'));
  const [ours, theirs] = ['felucca.dev/cleanup', 'example.org/theirs'];
  const withOurs = await addFinalizer(client, GVR.ConfigMap, created, ours);
  // `created` is stale now, as a cache would be: both writers keep their finalizer.
  await addFinalizer(client, GVR.ConfigMap, created, theirs);
  expect(await client.delete(GVR.ConfigMap, 'default', 'final', { uid: created.metadata.uid! })).toBe(
    'going',
  );
  const left = await removeFinalizer(client, GVR.ConfigMap, withOurs!, ours);
  expect(left?.metadata.finalizers).toEqual([theirs]);
  await removeFinalizer(client, GVR.ConfigMap, left!, theirs);
  expect(await client.get(GVR.ConfigMap, 'default', 'final')).toBeUndefined();
  expect(await removeFinalizer(client, GVR.ConfigMap, left!, theirs)).toBeUndefined();
});

test('a kubeconfig file leads to the cluster', async () => {
  const transport = new HttpTransport({ endpoint: kubeconfigEndpoint(cluster.kubeconfigPath) });
  onTestFinished(() => transport.close());
  expect(await new KubeClient(transport).get(GVR.Namespace, undefined, 'default')).toBeDefined();
  expect(() => kubeconfigEndpoint(cluster.kubeconfigPath, { context: 'nowhere' })).toThrow(
    /no context "nowhere"/,
  );
});

test('the same Event over and over is one Event with a count; a noisy object is held back', async () => {
  const session = openSession(cluster);
  const { client, metrics } = session;
  const recorder = new EventRecorder({
    client,
    log,
    metrics,
    controller: 'felucca.dev/operator',
    instance: 'test',
    burst: 5,
  });
  const about = await client.create<KubeObject>(GVR.ConfigMap, 'default', configMap('noisy'));
  Object.assign(about, { apiVersion: 'v1', kind: 'ConfigMap' });
  for (let n = 0; n < 64; n++) {
    recorder.emit(about, { type: 'Warning', reason: 'ImageMissing', message: 'the image is not there' });
    if (n % 8 === 0) await recorder.flush();
  }
  await recorder.flush();
  const events = async (): Promise<(KubeObject & { series?: { count: number }; reason: string })[]> =>
    client.list(GVR.Event, 'default', { fieldSelector: `regarding.name=noisy` });
  const [only, ...others] = await events();
  expect(others).toEqual([]);
  expect(only!.series!.count).toBeGreaterThanOrEqual(32);

  for (let n = 0; n < 50; n++)
    recorder.emit(about, { type: 'Normal', reason: 'Noise', message: `number ${n}` });
  await recorder.flush();
  expect(await events()).toHaveLength(5);
  expect((await series(session, 'felucca_events_dropped_total')).join()).toContain(' 46');
  const described = await cluster.kubectl(['describe', 'configmap', 'noisy']);
  expect(described).toContain('ImageMissing');
});

test('the API server takes a note that is too long, and tells what it refuses by its bytes', async () => {
  const { client, metrics } = openSession(cluster);
  const note = 'ö'.repeat(1_024);
  const about = await client.create<KubeObject>(GVR.ConfigMap, 'default', configMap('wordy'));
  Object.assign(about, { apiVersion: 'v1', kind: 'ConfigMap' });
  const recorder = new EventRecorder({ client, log, metrics, controller: 'felucca.dev/o', instance: 'test' });
  recorder.emit(about, { type: 'Warning', reason: 'Wordy', message: note });
  await recorder.flush();
  const [event] = await client.list<KubeObject & { note: string }>(GVR.Event, 'default', {
    fieldSelector: 'regarding.name=wordy',
  });
  expect(event?.note).toMatch(/^ö+…$/);
  const whole = { ...event!, metadata: { name: 'whole', namespace: 'default' }, note };
  await expect(client.create(GVR.Event, 'default', whole)).rejects.toMatchObject({ status: 422 });
});
