import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import type { Actor } from '../campaign/actor.ts';
import { BLUEPRINTS } from '../campaign/blueprints.ts';
import type { Json } from '../rig.ts';
import { deploymentOf, pause, serviceOf, useStage } from './stage.ts';

const stage = useStage('rules');
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const MERGE = 'application/merge-patch+json';

/** What a person does who does not want to wait for the next look. */
const asks = (customer: Actor): Promise<void> =>
  customer.patch(customer.instance, {
    metadata: { annotations: { 'felucca.dev/reconcile-requested-at': new Date().toISOString() } },
  });

/** I14: somebody else is served meanwhile. */
async function othersAreServed(): Promise<void> {
  const other = await stage.tenant();
  await other.orders('web@1.0.0');
  await stage.isUp(other);
}

test('K19: rights that are taken away stop it, without a storm; given back, it goes on', async () => {
  const customer = await stage.customer();
  const { admin, proxy } = stage.rig;
  const path = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/felucca-operator';
  const { metadata, ...binding } = (await admin.call('GET', path)).body;
  await admin.call('DELETE', path);
  proxy.journal.clear();
  const { name, labels, annotations } = metadata;
  try {
    await customer.change({ parameters: { replicas: 2 } });
    await pause(3_000);
    expect(proxy.journal.requests).toBeLessThan(300);
  } finally {
    await admin.call('POST', path.replace('/felucca-operator', ''), {
      ...binding,
      metadata: { name, labels, annotations },
    });
  }
  await asks(customer);
  await stage.until('the change is there', () => customer.live(deploymentOf(customer))?.spec.replicas === 2);
  await stage.expectMadeOnce(customer);
});

test('K20: a definition can not be deleted by hand', async () => {
  const { status, body } = await stage.rig.admin.call('DELETE', `${DEFINITIONS}/instances.felucca.dev`);
  expect([status, body.message]).toEqual([403, expect.stringContaining('everything that tenants ordered')]);
});

test('K20: with the definition of Blueprints gone, workloads stay; with it back, all goes on', async () => {
  const customer = await stage.customer();
  const { admin } = stage.rig;
  const path = `${DEFINITIONS}/blueprints.felucca.dev`;
  const { metadata, spec, apiVersion, kind } = (await admin.call('GET', path)).body;
  const { name, labels, annotations } = metadata;
  const confirmed = { metadata: { annotations: { 'felucca.dev/allow-deletion': 'chaos' } } };
  await admin.call('PATCH', path, confirmed, MERGE);
  await admin.call('DELETE', path);
  await stage.until('the definition is gone', async () => (await admin.call('GET', path)).status === 404);
  await asks(customer);
  await pause(1_500);
  expect([stage.gone(deploymentOf(customer)), stage.gone(serviceOf(customer))]).toEqual([0, 0]);
  await admin.call('POST', DEFINITIONS, { apiVersion, kind, metadata: { name, labels, annotations }, spec });
  await stage.until('the definition is back', async () => {
    const answer = await admin.call('GET', '/apis/felucca.dev/v1alpha1/blueprints');
    return answer.status === 200;
  });
  for (const blueprint of BLUEPRINTS) await admin.apply(blueprint);
  await customer.change({ parameters: { replicas: 2 } });
  await stage.until('the change is there', () => customer.live(deploymentOf(customer))?.spec.replicas === 2);
  await stage.expectMadeOnce(customer);
});

test('K20: a definition that is narrowed refuses what it wrote before; widened again, it goes on', async () => {
  const customer = await stage.tenant();
  const { admin, proxy } = stage.rig;
  const path = `${DEFINITIONS}/instances.felucca.dev`;
  const [version] = (await admin.call('GET', path)).body.spec.versions;
  const status = version.schema.openAPIV3Schema.properties.status;
  const narrow = (rules: Json[]) => {
    const narrowed = structuredClone(version);
    narrowed.schema.openAPIV3Schema.properties.status = { ...status, 'x-kubernetes-validations': rules };
    return admin.call('PATCH', path, { spec: { versions: [narrowed] } }, MERGE);
  };
  const refused = await narrow([{ rule: '!has(self.conditions)', message: 'no conditions today' }]);
  expect(refused.status).toBe(200);
  try {
    await stage.until('the definition refuses', async () => {
      await customer.orders('web@1.0.0');
      return proxy.journal.writes.some(
        ({ key, status: code }) => key.endsWith('/main/status') && code === 422,
      );
    });
    proxy.journal.clear();
    await pause(2_000);
    expect(proxy.journal.requests).toBeLessThan(200);
  } finally {
    await narrow(status['x-kubernetes-validations'] ?? []);
  }
  await asks(customer);
  await stage.expectMadeOnce(customer);
});

const webhook = (name: string, customer: Actor, clientConfig: Json) => ({
  metadata: { name },
  webhooks: [
    {
      name: `${name}.felucca.dev`,
      clientConfig,
      rules: [{ apiGroups: ['apps'], apiVersions: ['v1'], operations: ['*'], resources: ['deployments'] }],
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': customer.namespace } },
      sideEffects: 'None',
      timeoutSeconds: 10,
      failurePolicy: 'Fail',
      admissionReviewVersions: ['v1'],
    },
  ],
});
const WEBHOOKS = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';

test('K21: a webhook that is dead stops one tenant, who is told, and nobody else', async () => {
  const customer = await stage.tenant();
  const { admin, proxy } = stage.rig;
  const dead = webhook('dead', customer, { url: 'https://127.0.0.1:9/', caBundle: caOfCluster() });
  expect((await admin.call('POST', WEBHOOKS, dead)).status).toBe(201);
  try {
    await stage.until('the webhook is asked', () => isAsked(customer));
    await customer.orders('web@1.0.0');
    await stage.until('the refusal is told', () =>
      JSON.stringify(customer.live(customer.instance)?.status ?? '').includes('webhook'),
    );
    await othersAreServed();
    expect(proxy.journal.requests).toBeLessThan(600);
  } finally {
    await admin.call('DELETE', `${WEBHOOKS}/dead`);
  }
  await asks(customer);
  await stage.expectMadeOnce(customer);
});

test('K21: a webhook that takes seconds makes one tenant wait, and nobody else', async () => {
  const customer = await stage.tenant();
  const { admin } = stage.rig;
  const port = await slowWebhook(4_000);
  const slow = webhook('slow', customer, { url: `https://127.0.0.1:${port}/`, caBundle: caOfCluster() });
  expect((await admin.call('POST', WEBHOOKS, slow)).status).toBe(201);
  try {
    await pause(500);
    await customer.orders('web@1.0.0');
    await othersAreServed();
    await stage.expectMadeOnce(customer);
  } finally {
    await admin.call('DELETE', `${WEBHOOKS}/slow`);
  }
});

test('K22: a quota that is used up is told to its tenant and stops nobody else', async () => {
  const customer = await stage.tenant();
  const { admin } = stage.rig;
  const quota = customer.object('v1', 'ResourceQuota', 'none');
  await admin.apply({ ...quota, spec: { hard: { 'count/deployments.apps': '0' } } });
  await stage.until('the quota counts', () => customer.live(quota)?.status?.hard !== undefined);
  await customer.orders('web@1.0.0');
  await stage.until('the refusal is told', () => customer.says(customer.instance, 'Stalled', 'True'));
  expect(JSON.stringify(customer.live(customer.instance)?.status.conditions)).toContain('exceeded quota');
  await othersAreServed();
  await admin.delete(quota);
  await stage.until('the quota is gone', () => customer.isGone(quota));
  await asks(customer);
  await stage.expectMadeOnce(customer);
});

test('K22: a limit range that no pod meets is told, and what was ordered comes when it is gone', async () => {
  const customer = await stage.tenant();
  const limits = customer.object('v1', 'LimitRange', 'tiny');
  const item = {
    type: 'Container',
    max: { memory: '2Mi' },
    default: { memory: '1Mi' },
    defaultRequest: { memory: '1Mi' },
  };
  await stage.rig.admin.apply({ ...limits, spec: { limits: [item] } });
  await pause(300);
  await customer.orders('web@1.0.0');
  await stage.until('it is not Ready', () => customer.says(customer.instance, 'Ready', 'False'));
  await othersAreServed();
  await stage.rig.admin.delete(limits);
  await stage.until('the limit range is gone', () => customer.isGone(limits));
  // The ReplicaSet's own patience grows; a person would not wait for it either.
  await stage.rig.admin.call('DELETE', `/apis/apps/v1/namespaces/${customer.namespace}/replicasets`);
  await stage.isUp(customer);
  await stage.rests(customer);
});

test('K23: whatever is tampered with is put back, and what others added stays', async () => {
  const customer = await stage.customer();
  const { admin } = stage.rig;
  const { metadata } = customer.live(deploymentOf(customer))!;
  const { uid, ownerReferences, labels } = metadata;
  await admin.patch(deploymentOf(customer), {
    metadata: { ownerReferences: null, labels: { 'felucca.dev/node': 'other', mine: 'yes' } },
    spec: { replicas: 4, template: { metadata: { annotations: { mine: 'yes' } } } },
  });
  // Without it nothing would be left to clean up by: not even a person with all rights may take it away.
  await expect(admin.patch(customer.instance, { metadata: { finalizers: null } })).rejects.toThrow(/ 403 /);
  await admin.delete(serviceOf(customer));
  await stage.until('everything is put back', () => {
    const live = customer.live(deploymentOf(customer));
    return (
      live?.spec.replicas === 1 &&
      live.metadata.ownerReferences?.length === ownerReferences.length &&
      live.metadata.labels['felucca.dev/node'] === labels['felucca.dev/node'] &&
      !customer.isGone(serviceOf(customer))
    );
  });
  await stage.isUp(customer);
  await stage.rests(customer);
  const after = customer.live(deploymentOf(customer))!;
  expect(after.metadata).toMatchObject({ uid, labels: { mine: 'yes' } });
  expect(after.spec.template.metadata.annotations).toMatchObject({ mine: 'yes' });
  // I10: what was done is told.
  expect(JSON.stringify(customer.live(customer.instance)?.status.drift)).toContain('/spec/replicas');
});

test('K24: a namespace that can not go holds its own tenant up and nobody else', async () => {
  const customer = await stage.customer();
  const { admin, proxy } = stage.rig;
  const stuck = customer.object('v1', 'ConfigMap', 'stuck');
  await admin.apply({ ...stuck, metadata: { ...stuck.metadata, finalizers: ['example.com/stuck'] } });
  await customer.delete(customer.instance);
  await stage.until('the Instance is gone', () => customer.isGone(customer.instance));
  await customer.delete(customer.tenant);
  const namespace = customer.object('v1', 'Namespace', customer.namespace);
  await stage.until('the namespace is going', () => customer.live(namespace)?.metadata.deletionTimestamp);
  proxy.journal.clear();
  await othersAreServed();
  await pause(2_000);
  expect(customer.isGone(customer.tenant)).toBe(false);
  expect(stage.writes(customer).length).toBeLessThan(3);
  await admin.patch(stuck, { metadata: { finalizers: null } });
  await stage.until(
    'tenant and namespace are gone',
    () => customer.isGone(customer.tenant) && customer.isGone(namespace),
  );
});

/** A new webhook counts a moment after it was made. */
async function isAsked(customer: Actor): Promise<boolean> {
  const labels = { app: 'probe' };
  const containers = [{ name: 'probe', image: 'registry.example/probe:1' }];
  const probe = {
    metadata: { name: 'probe' },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
  };
  const path = `/apis/apps/v1/namespaces/${customer.namespace}/deployments?dryRun=All`;
  const { body } = await stage.rig.admin.call('POST', path, probe);
  return String(body.message).includes('failed calling webhook');
}

const caOfCluster = (): string => Buffer.from(stage.rig.cluster.caPem).toString('base64');

/** Allows everything, late. */
async function slowWebhook(ms: number): Promise<number> {
  const { certPem, keyPem } = await stage.rig.cluster.inside!.issue({
    name: 'webhook',
    commonName: 'webhook',
    hosts: ['127.0.0.1'],
  });
  const server: Server = createServer({ cert: certPem, key: keyPem }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { apiVersion, kind, request: asked } = JSON.parse(Buffer.concat(chunks).toString());
      const answer = { apiVersion, kind, response: { uid: asked.uid, allowed: true } };
      setTimeout(
        () => response.setHeader('content-type', 'application/json').end(JSON.stringify(answer)),
        ms,
      );
    });
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
