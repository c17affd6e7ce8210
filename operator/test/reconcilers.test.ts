import { ANNOTATIONS, API_VERSION, FIELD_MANAGERS, FINALIZER, LABELS, requestName } from '@felucca/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LiveObject } from '../src/reconcilers/cluster.ts';
import { conditionOf, Driver, example, examplesIn } from './reconcile-driver.ts';

let driver: Driver;
let namespace: string;
const web = { blueprintRef: { name: 'web', version: '1.0.0' } };

beforeAll(async () => {
  driver = await Driver.start('reconcilers', 'kwok');
  namespace = await driver.prepare('acme', example('blueprint-web'));
});
afterAll(() => driver?.stop());

const read = (apiVersion: string, kind: string, name: string): Promise<LiveObject | undefined> =>
  driver.api.read({ apiVersion, kind, namespace, name });
const deployment = (name: string) => read('apps/v1', 'Deployment', name);
const patch = (name: string, spec: object) => driver.patch(namespace, name, spec);
const settledWrites = (name: string) => driver.settledWrites(namespace, name);

describe('the examples', () => {
  const dryRun = (path: string) =>
    driver.cluster.kubectl(['create', '--dry-run=server', '-f', path]).then(
      () => 'accepted',
      (error: Error) => error.message,
    );
  test.each(examplesIn('valid'))('%s is accepted', async (_, path) => {
    expect(await dryRun(path)).toMatch(/^accepted$|already exists|AlreadyExists/);
  });
  test.each(examplesIn('must-reject'))('%s is refused for its spec', async (_, path) => {
    expect(await dryRun(path)).toMatch(/Invalid value|Unsupported value|Required value|must/);
  });
});

describe('a Tenant', () => {
  test('gets a namespace with pod security, account, quota, limits and a closed network', async () => {
    const live = await driver.api.read({ apiVersion: 'v1', kind: 'Namespace', name: namespace });
    expect(live?.metadata.labels).toMatchObject({
      [LABELS.tenant]: 'acme',
      'pod-security.kubernetes.io/enforce': 'restricted',
    });
    expect(await read('v1', 'ServiceAccount', 'felucca-workload')).toMatchObject({
      automountServiceAccountToken: false,
    });
    expect(await read('v1', 'ResourceQuota', 'felucca')).toBeDefined();
    expect(await read('v1', 'LimitRange', 'felucca')).toBeDefined();
    expect(await read('networking.k8s.io/v1', 'NetworkPolicy', 'felucca-default-deny')).toBeDefined();
    const tenant = await driver.api.read({ apiVersion: API_VERSION, kind: 'Tenant', name: 'acme' });
    expect(conditionOf(tenant, 'Ready')).toMatchObject({ status: 'True', reason: 'NamespaceReady' });
    driver.api.writes.length = 0;
    await driver.tenant('acme');
    expect(driver.api.writes).toEqual([]);
  });

  test('never takes over a namespace that somebody else made', async () => {
    await driver.cluster.kubectl(['create', 'namespace', 'tenant-taken']);
    await driver.prepare('taken');
    const tenant = await driver.api.read({ apiVersion: API_VERSION, kind: 'Tenant', name: 'taken' });
    expect(conditionOf(tenant, 'Stalled')).toMatchObject({ status: 'True', reason: 'NamespaceConflict' });
    const live = await driver.api.read({ apiVersion: 'v1', kind: 'Namespace', name: 'tenant-taken' });
    expect(live?.metadata.labels?.[LABELS.tenant]).toBeUndefined();
  });

  test('is not deleted while Instances live in its namespace', async () => {
    const busy = await driver.prepare('busy');
    await driver.order(busy, 'site', web);
    await driver.ready(busy, 'site');
    await driver.cluster.kubectl(['delete', 'tenant', 'busy', '--wait=false']);
    await driver.tenant('busy');
    const tenant = await driver.api.read({ apiVersion: API_VERSION, kind: 'Tenant', name: 'busy' });
    expect(conditionOf(tenant, 'DeletionBlocked')?.message).toContain('site');
    await driver.cluster.kubectl(['delete', 'instance', 'site', '-n', busy, '--wait=false']);
    await driver.until(busy, 'site', 'gone', (instance) => instance === undefined);
    const deadline = performance.now() + 60_000;
    while (await driver.api.read({ apiVersion: API_VERSION, kind: 'Tenant', name: 'busy' })) {
      if (performance.now() > deadline) throw new Error('the Tenant is still there');
      await driver.tenant('busy');
    }
  });
});

describe('a Blueprint', () => {
  test('with an error says where it is and how to mend it', async () => {
    await driver.apply({
      apiVersion: API_VERSION,
      kind: 'Blueprint',
      metadata: { name: 'broken-1-0-0' },
      spec: {
        name: 'broken',
        version: '1.0.0',
        parameters: { type: 'object' },
        nodes: [
          {
            id: 'config',
            manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { x: '${params.nowhere}' } },
          },
        ],
      },
    });
    await driver.blueprint('broken-1-0-0');
    const live = await driver.api.read({ apiVersion: API_VERSION, kind: 'Blueprint', name: 'broken-1-0-0' });
    expect(conditionOf(live, 'Stalled')?.message).toMatch(/\/nodes\/0\/manifest\/data\/x .*nowhere/);
  });
});

describe('a Blueprint that does not fit the kinds of this cluster', () => {
  const misfit = (name: string, data: unknown) =>
    driver.apply({
      apiVersion: API_VERSION,
      kind: 'Blueprint',
      metadata: { name: `${name}-1-0-0` },
      spec: {
        name,
        version: '1.0.0',
        parameters: { type: 'object' },
        nodes: [{ id: 'config', manifest: { apiVersion: 'v1', kind: 'ConfigMap', ...(data as object) } }],
      },
    });

  test.each([
    ['field', { dta: {} }, /\/nodes\/0\/manifest\/dta "dta" is not a field of ConfigMap: .*"data"/],
    ['type', { data: { a: 1 } }, /\/nodes\/0\/manifest\/data\/a must be a text, got 1: write it in quotes/],
  ])('says so about a %s, with its place and what to do', async (name, data, message) => {
    await misfit(name, data);
    await driver.blueprint(`${name}-1-0-0`);
    const live = await driver.api.read({ apiVersion: API_VERSION, kind: 'Blueprint', name: `${name}-1-0-0` });
    for (const type of ['Ready', 'Stalled'])
      expect(conditionOf(live, type)).toMatchObject({
        reason: 'KindMismatch',
        message: expect.stringMatching(message),
      });
  });

  test('is told by the API server to each Instance, too', async () => {
    await driver.order(namespace, 'misfit', { blueprintRef: { name: 'field', version: '1.0.0' } });
    await driver.step(namespace, 'misfit');
    expect(conditionOf(await driver.instance(namespace, 'misfit'), 'Stalled')).toMatchObject({
      reason: 'ApplyRejected',
      message: expect.stringContaining('dta'),
    });
  });
});

describe('an Instance applied with kubectl', () => {
  test('becomes children, is Ready, and then nothing is written any more, nor after a restart', async () => {
    await driver.order(namespace, 'site', { ...web, parameters: { replicas: 2 } });
    driver.api.writes.length = 0;
    driver.api.reads.length = 0;
    const instance = await driver.ready(namespace, 'site');
    // The first apply of a child says itself whether the name is free.
    expect(driver.api.reads.filter((path) => path.includes('/site-'))).toEqual([]);
    // Finalizer with inventory, two children, and the status at each look while they come up.
    expect(driver.api.writes.slice(0, 3).map((write) => write.split('/').at(-1))).toEqual(
      expect.arrayContaining(['site', 'site-web', 'site-service']),
    );
    expect(driver.api.writes.length).toBeLessThanOrEqual(7);
    expect(await deployment('site-web')).toMatchObject({
      metadata: { ownerReferences: [{ uid: instance.metadata.uid }] },
      spec: { replicas: 2, template: { spec: { serviceAccountName: 'felucca-workload' } } },
    });
    expect(instance.metadata.finalizers).toContain(FINALIZER);
    expect(instance.status?.inventory?.every((entry) => entry.uid)).toBe(true);
    expect(instance.status?.outputs?.url).toEqual({ value: 'http://site-service.tenant-acme.svc' });
    expect(instance.status?.observedGeneration).toBe(instance.metadata.generation);
    expect(conditionOf(instance, 'Synced')).toMatchObject({ status: 'True', reason: 'Local' });
    expect(conditionOf(instance, 'Reconciling')).toBeUndefined();
    expect(await settledWrites('site')).toEqual([]);
    driver.restart();
    expect(await driver.step(namespace, 'site')).toEqual({ kind: 'done' });
    expect(driver.api.writes).toEqual([]);
  });

  test('is looked at when somebody asks for it, and its status names the request, however long that is', async () => {
    await driver.order(namespace, 'asked', web);
    await driver.ready(namespace, 'asked');
    const asked = { apiVersion: API_VERSION, kind: 'Instance', namespace, name: 'asked' };
    for (const request of ['now', 'x'.repeat(200_000), `${'x'.repeat(200_000)}y`]) {
      const annotations = { [ANNOTATIONS.reconcileRequestedAt]: request };
      await driver.api.mergePatch(asked, { metadata: { annotations } });
      await driver.step(namespace, 'asked');
      const { status } = (await driver.instance(namespace, 'asked'))!;
      expect(status?.lastHandledReconcileAt).toBe(requestName(request));
    }
  });

  test('follows its parameters, up and down', async () => {
    await patch('site', { parameters: { replicas: 3, message: 'new' } });
    await driver.until(
      namespace,
      'site',
      'three replicas',
      (instance) =>
        conditionOf(instance, 'Ready')?.status === 'True' &&
        instance?.status?.observedGeneration === instance?.metadata.generation,
    );
    expect(await deployment('site-web')).toMatchObject({ spec: { replicas: 3 } });
    expect((await driver.instance(namespace, 'site'))?.status?.drift).toBeUndefined();
  });

  test('sets an edited field back and records what, by whom and when', async () => {
    await driver.cluster.kubectl(['scale', 'deployment/site-web', '-n', namespace, '--replicas=5']);
    await driver.step(namespace, 'site');
    expect(await deployment('site-web')).toMatchObject({ spec: { replicas: 3 } });
    const instance = await driver.ready(namespace, 'site');
    expect(instance.status?.drift).toMatchObject([
      {
        object: 'Deployment/site-web',
        path: '/spec/replicas',
        expected: '3',
        actual: '5',
        action: 'corrected',
      },
    ]);
    expect(instance.status?.drift?.[0]?.manager).toMatch(/kubectl/);
    expect(driver.events.at(-1)).toBeDefined();
    expect(driver.metrics).toMatchObject({ detected: 1, repaired: 1 });
    expect(await settledWrites('site')).toEqual([]);
  });

  test('makes a deleted child again and records that', async () => {
    const before = await read('v1', 'Service', 'site-service');
    await driver.cluster.kubectl(['delete', 'service', 'site-service', '-n', namespace]);
    await driver.step(namespace, 'site');
    const after = await read('v1', 'Service', 'site-service');
    expect(after?.metadata.uid).not.toBe(before?.metadata.uid);
    const instance = await driver.ready(namespace, 'site');
    expect(instance.status?.drift?.[0]).toMatchObject({
      object: 'Service/site-service',
      path: '',
      action: 'corrected',
    });
    expect(instance.status?.inventory?.find((entry) => entry.kind === 'Service')?.uid).toBe(
      after?.metadata.uid,
    );
  });

  test.each([
    ['v1', 'Service', 'site-service', '/spec/ports/0/port', 4711],
    ['apps/v1', 'Deployment', 'site-web', '/spec/template/spec/containers/0/ports/0/containerPort', 4711],
  ])(
    'of %s %s %s gets back the item whose key %s was edited',
    async (apiVersion, kind, name, path, value) => {
      const ports = (object: LiveObject | undefined): unknown =>
        (object?.spec as { ports?: unknown; template?: { spec: unknown } } | undefined)?.ports ??
        (object?.spec as { template?: { spec: unknown } } | undefined)?.template?.spec;
      const before = ports(await read(apiVersion, kind, name));
      const edit = JSON.stringify([{ op: 'replace', path, value }]);
      await driver.cluster.kubectl(['patch', kind, name, '-n', namespace, '--type=json', '-p', edit]);
      await driver.ready(namespace, 'site');
      const after = await read(apiVersion, kind, name);
      expect(ports(after)).toEqual(before);
      const ours = after?.metadata.managedFields?.filter(
        ({ manager }) => manager === FIELD_MANAGERS.reconciler,
      );
      expect(ours?.map(({ operation }) => operation)).toEqual(['Apply']);
      const { drift } = (await driver.instance(namespace, 'site'))?.status ?? {};
      expect(drift?.[0]).toMatchObject({ object: `${kind}/${name}`, action: 'corrected' });
      expect(await settledWrites('site')).toEqual([]);
    },
  );

  test('gets its pods back when somebody adds a label to the selector of its Service', async () => {
    const selector = async () => (await read('v1', 'Service', 'site-service'))?.spec?.selector;
    const before = await selector();
    const edit = JSON.stringify({ spec: { selector: { more: 'x' } } });
    await driver.cluster.kubectl(['patch', 'service', 'site-service', '-n', namespace, '-p', edit]);
    await driver.ready(namespace, 'site');
    expect(await selector()).toEqual(before);
    const { drift } = (await driver.instance(namespace, 'site'))?.status ?? {};
    expect(drift?.[0]).toMatchObject({
      object: 'Service/site-service',
      path: '/spec/selector',
      manager: 'kubectl-patch',
    });
    expect(await settledWrites('site')).toEqual([]);
  });

  test('pauses repairs in a fight, says so, and repairs when the pause is over', async () => {
    let time = performance.now() + 600_000;
    driver.throttleMs = () => time;
    for (let i = 0; i < 6; i += 1) {
      await driver.cluster.kubectl(['scale', 'deployment/site-web', '-n', namespace, '--replicas=7']);
      await driver.step(namespace, 'site');
    }
    expect(await deployment('site-web')).toMatchObject({ spec: { replicas: 7 } });
    expect(conditionOf(await driver.instance(namespace, 'site'), 'DriftDetected')).toMatchObject({
      status: 'True',
      message: expect.stringContaining('again and again'),
    });
    expect(conditionOf(await driver.instance(namespace, 'site'), 'Ready')).toMatchObject({
      status: 'False',
      message: expect.stringContaining('scaled to 7 instead of 3'),
    });
    // The status may still follow the pods of the seven replicas.
    expect((await settledWrites('site')).filter((write) => write.includes('deployments'))).toEqual([]);
    time += 61_000;
    await driver.step(namespace, 'site');
    expect(await deployment('site-web')).toMatchObject({ spec: { replicas: 3 } });
    driver.throttleMs = () => performance.now();
    await driver.ready(namespace, 'site');
  });

  test.each([
    ['an older version', `${ANNOTATIONS.appliedHash}=sha256:of-an-export`],
    ['no version', `${ANNOTATIONS.appliedHash}-`],
  ])('pauses, too, when somebody puts a child back that says %s', async (_, annotation) => {
    let time = performance.now() + 600_000;
    driver.throttleMs = () => time;
    driver.restart();
    const { kubectl } = driver.cluster;
    const putBack = async (): Promise<void> => {
      await kubectl(['scale', 'deployment/site-web', '-n', namespace, '--replicas=7']);
      await kubectl(['annotate', 'deployment/site-web', '-n', namespace, '--overwrite', annotation]);
      await driver.step(namespace, 'site');
    };
    for (let i = 0; i < 12; i += 1) await putBack();
    const writes = driver.api.writes.filter((write) => write.endsWith('/deployments/site-web'));
    // Of the first a new process can't tell that it is no update.
    expect(writes).toHaveLength(1 + 5);
    const instance = await driver.instance(namespace, 'site');
    expect(conditionOf(instance, 'DriftDetected')).toMatchObject({
      status: 'True',
      message: expect.stringMatching(/^Deployment\/site-web is changed again and again by kubectl/),
    });
    expect(instance?.status?.drift?.map(({ path, action }) => [path, action])).toEqual(
      expect.arrayContaining([
        ['/spec/replicas', 'reported'],
        ['/metadata/annotations/felucca.dev~1applied-hash', 'reported'],
      ]),
    );
    time += 61_000;
    await driver.step(namespace, 'site');
    expect(await deployment('site-web')).toMatchObject({ spec: { replicas: 3 } });
    driver.throttleMs = () => performance.now();
    await driver.ready(namespace, 'site');
  });

  test('pauses, too, when another operator has an older idea of a child', async () => {
    let time = performance.now() + 600_000;
    driver.throttleMs = () => time;
    driver.restart();
    const { metadata, spec, ...type } = (await deployment('site-web'))!;
    const { labels = {}, ownerReferences = [] } = metadata;
    const annotations = { [ANNOTATIONS.appliedHash]: 'sha256:of-another-version' };
    const older = {
      ...type,
      metadata: { name: 'site-web', namespace, labels, ownerReferences, annotations },
      spec: { ...spec, replicas: 7 },
      status: undefined,
    };
    for (let i = 0; i < 9; i += 1) {
      await driver.api.apply(older, { manager: FIELD_MANAGERS.reconciler });
      await driver.step(namespace, 'site');
    }
    expect(await deployment('site-web')).toMatchObject({ spec: { replicas: 7 } });
    expect(driver.api.writes.filter((write) => write.endsWith('/deployments/site-web'))).toHaveLength(
      9 + 1 + 5,
    );
    time += 61_000;
    await driver.step(namespace, 'site');
    expect(await deployment('site-web')).toMatchObject({ spec: { replicas: 3 } });
    driver.throttleMs = () => performance.now();
    await driver.ready(namespace, 'site');
  });

  test('scales to zero on suspend, keeps its configuration and comes back on resume', async () => {
    await patch('site', { suspend: true });
    await driver.until(
      namespace,
      'site',
      'Suspended',
      (it) => conditionOf(it, 'Ready')?.reason === 'Suspended',
    );
    expect(await deployment('site-web')).toMatchObject({ spec: { replicas: 0 } });
    expect(await read('v1', 'Service', 'site-service')).toBeDefined();
    expect(await settledWrites('site')).toEqual([]);
    await patch('site', { suspend: false });
    await driver.ready(namespace, 'site');
    expect(await deployment('site-web')).toMatchObject({ spec: { replicas: 3 } });
  });

  test('is stalled without its Blueprint and heals when that appears', async () => {
    await driver.order(namespace, 'early', { blueprintRef: { name: 'late', version: '1.0.0' } });
    await driver.step(namespace, 'early');
    expect(conditionOf(await driver.instance(namespace, 'early'), 'Stalled')).toMatchObject({
      reason: 'BlueprintNotFound',
      message: expect.stringContaining('late-1-0-0'),
    });
    const blueprint = example('blueprint-web');
    blueprint.metadata.name = 'late-1-0-0';
    (blueprint.spec as { name: string }).name = 'late';
    await driver.apply(blueprint);
    const instance = await driver.ready(namespace, 'early');
    expect(conditionOf(instance, 'Stalled')).toBeUndefined();
  });

  test('is stalled with the words of the API server when a child has a field that its kind lacks', async () => {
    const blueprint = example('blueprint-web');
    blueprint.metadata.name = 'typo-1-0-0';
    const spec = blueprint.spec as { name: string; nodes: { manifest: { spec: object } }[] };
    spec.name = 'typo';
    Object.assign(spec.nodes[0]!.manifest.spec, { replica: 1 });
    await driver.apply(blueprint);
    await driver.order(namespace, 'typo', { blueprintRef: { name: 'typo', version: '1.0.0' } });
    for (let step = 0; step < 3; step += 1) await driver.step(namespace, 'typo');
    expect(conditionOf(await driver.instance(namespace, 'typo'), 'Stalled')).toMatchObject({
      reason: 'ApplyRejected',
      message: expect.stringContaining('.spec.replica'),
    });
  });

  test('with parameters outside the schema is stalled with the place, and nothing is made', async () => {
    await driver.order(namespace, 'bad', { ...web, parameters: { replicas: 99 } });
    await driver.step(namespace, 'bad');
    expect(conditionOf(await driver.instance(namespace, 'bad'), 'Stalled')).toMatchObject({
      reason: 'ParametersInvalid',
      message: expect.stringContaining('/replicas'),
    });
    expect(await deployment('bad-web')).toBeUndefined();
  });

  test('never takes over an object of somebody else, neither when it applies nor when it deletes', async () => {
    await driver.cluster.kubectl([
      'create',
      'service',
      'clusterip',
      'mine-service',
      '--tcp=1',
      '-n',
      namespace,
    ]);
    await driver.order(namespace, 'mine', web);
    await driver.until(
      namespace,
      'mine',
      'a conflict',
      (it) => conditionOf(it, 'Stalled')?.reason === 'NameConflict',
    );
    await driver.cluster.kubectl(['delete', 'instance', 'mine', '-n', namespace, '--wait=false']);
    await driver.until(namespace, 'mine', 'gone', (instance) => instance === undefined);
    const service = await read('v1', 'Service', 'mine-service');
    expect(service?.metadata.labels).not.toHaveProperty([LABELS.instanceUid]);
    expect(service?.metadata.deletionTimestamp).toBeUndefined();
  });

  test('says that its deletion is held for as long as it is', async () => {
    await driver.order(namespace, 'held', web);
    await driver.ready(namespace, 'held');
    const annotate = (value: string) =>
      driver.cluster.kubectl([
        'annotate',
        'instance',
        'held',
        '-n',
        namespace,
        `felucca.dev/held-deletion${value}`,
      ]);
    const blocked = async () => {
      await driver.step(namespace, 'held');
      return conditionOf(await driver.instance(namespace, 'held'), 'DeletionBlocked');
    };
    await annotate('={}');
    expect(await blocked()).toMatchObject({ status: 'True', reason: 'DeletionHeld' });
    expect(await settledWrites('held')).toEqual([]);
    await annotate('-');
    expect(await blocked()).toBeUndefined();
  });
});

describe('a crash', () => {
  test('at any write leaves nothing behind once the Instance is deleted', async () => {
    for (let crashAt = 1; crashAt <= 5; crashAt += 1) {
      const name = `crash-${crashAt}`;
      await driver.order(namespace, name, web);
      await driver.dieAt(crashAt, namespace, name);
      await driver.cluster.kubectl(['delete', 'instance', name, '-n', namespace, '--wait=false']);
      await driver.until(namespace, name, 'gone', (instance) => instance === undefined);
      expect(await deployment(`${name}-web`)).toBeUndefined();
      expect(await read('v1', 'Service', `${name}-service`)).toBeUndefined();
    }
  });

  test('at any write does not hinder the next process to finish', async () => {
    for (let crashAt = 1; crashAt <= 5; crashAt += 1) {
      const name = `resume-${crashAt}`;
      await driver.order(namespace, name, web);
      await driver.dieAt(crashAt, namespace, name);
      const instance = await driver.ready(namespace, name);
      expect(instance.status?.drift).toBeUndefined();
    }
  });

  test('at any write of a repair loses no drift, and tells none twice', async () => {
    // managedFields tell whole seconds.
    driver.now = () => new Date(Date.now() + 5_000);
    for (let crashAt = 1; crashAt <= 3; crashAt += 1) {
      const name = `drift-${crashAt}`;
      await driver.order(namespace, name, web);
      await driver.ready(namespace, name);
      // Not by the scale subresource, whose managedFields tell no time: there it may be told twice.
      const edit = ['--type=merge', '-p', '{"spec":{"replicas":4}}'];
      await driver.cluster.kubectl(['patch', `deployment/${name}-web`, '-n', namespace, ...edit]);
      await driver.dieAt(crashAt, namespace, name);
      const instance = await driver.ready(namespace, name);
      expect((await deployment(`${name}-web`))?.spec?.replicas).toBe(1);
      expect(instance.status).toMatchObject({ driftCount: 1, drift: [{ actual: '4', action: 'corrected' }] });
    }
    driver.now = () => new Date();
  });
});
