import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import {
  API_VERSION,
  type CompiledNode,
  compileBlueprint,
  desiredChild,
  type InstanceObject,
  isRecord,
  type KubeObject,
  LABELS,
} from '@felucca/contract';
import { type Cluster, resolveBinary, startCluster, waitUntil } from '@felucca/dev';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Attack,
  attacks,
  config,
  HOME,
  type Json,
  NAMESPACE,
  podOf,
  rbac,
  type Third,
  workload,
} from './support/attacks.ts';
import { ControlApi } from './support/control-api.ts';

// What a Blueprint must never get, each tried against one defence alone, on a real control-api and a real API server:
// the API when it is published; the chart's admission policies, with an operator that may do everything and a Blueprint
// that nobody checked; and what is left without both.
const CHART = new URL('../../helm/felucca-operator', import.meta.url).pathname;

const run = promisify(execFile);
let cluster: Cluster;
let api: ControlApi;
let asOperator: string;

beforeAll(async () => {
  const name = `attacks-${process.pid}`;
  [cluster, api] = await Promise.all([startCluster({ name, provider: 'bare' }), ControlApi.start(name)]);
  const install = ['install', 'felucca', CHART, '--namespace', HOME, '--create-namespace', '--wait=hookOnly'];
  await run(await resolveBinary('helm'), [...install, '--set', 'deployment.enabled=false'], {
    env: { ...process.env, KUBECONFIG: cluster.kubeconfigPath },
  });
  asOperator = `--token=${(await cluster.kubectl(['create', 'token', 'felucca-operator', '-n', HOME])).trim()}`;
  // What the Tenant's reconciler makes: the namespace, the operator's rights in it, the workloads' account.
  await write(asOperator, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: NAMESPACE,
      labels: { [LABELS.tenant]: 'acme', 'pod-security.kubernetes.io/enforce': 'restricted' },
    },
  });
  await write(asOperator, {
    apiVersion: rbac,
    kind: 'RoleBinding',
    metadata: { name: 'felucca-operator', namespace: NAMESPACE },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'felucca-operator-tenant' },
    subjects: [{ kind: 'ServiceAccount', name: 'felucca-operator', namespace: HOME }],
  });
  const account = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'felucca-workload', namespace: NAMESPACE },
  };
  // A real one: children of an owner that is not there are garbage.
  await cluster.kubectl(['create', '-f', '-'], { stdin: JSON.stringify(instance) });
  const uid = ['get', 'instance', 'db', '-n', NAMESPACE, '-o', 'jsonpath={.metadata.uid}'];
  instance.metadata.uid = await cluster.kubectl(uid);
  await until('the rights to count', () => outcome(write(asOperator, account)), /it was written/);
});
afterAll(async () => {
  await api?.stop();
  await cluster?.stop();
});

const write = (who: string, object: object, ...flags: string[]) =>
  cluster.kubectl([who, 'apply', '--server-side', '--force-conflicts', ...flags, '-f', '-'], {
    stdin: JSON.stringify(object),
  });
/** Waits for an answer; rights and policies take effect a moment after they were changed. */
const until = (what: string, ask: () => Promise<string>, answer: RegExp) =>
  waitUntil(
    what,
    async () => {
      const got = await ask();
      if (!answer.test(got)) throw new Error(got.replace(asOperator, ''));
      return got;
    },
    { timeoutMs: 20_000 },
  );
const outcome = (writing: Promise<unknown>): Promise<string> =>
  writing.then(
    () => 'it was written',
    (error: Error) => error.message,
  );
const attempt = (object: object) => () => outcome(write(asOperator, object, '--dry-run=server'));

const instance = {
  apiVersion: API_VERSION,
  kind: 'Instance',
  metadata: { name: 'db', namespace: NAMESPACE },
  spec: { blueprintRef: { name: 'web', version: '1.0.0' } },
} as InstanceObject;
const blueprint = (manifest: Json) => ({
  name: 'attack',
  version: '1.0.0',
  parameters: { type: 'object', properties: {} },
  nodes: [{ id: 'evil', manifest }],
});
/** The child as our operator makes it. */
function built(manifest: Json): KubeObject & Json {
  const { compiled } = compileBlueprint(blueprint(config({})));
  const node = { ...compiled!.nodes[0]!, kind: String(manifest.kind) } as CompiledNode;
  const metadata = isRecord(manifest.metadata) ? manifest.metadata : {};
  const rendered = { ...manifest, metadata: { ...metadata, name: 'db-evil', namespace: NAMESPACE } };
  return desiredChild(rendered as unknown as KubeObject, { compiled: node, name: 'db-evil' }, instance)
    .object as KubeObject & Json;
}
const CLUSTER_WIDE = ['ClusterRole', 'ClusterRoleBinding', 'MutatingWebhookConfiguration'];
/** …and as one would that lets the attack through. */
function evil({ manifest, child }: Attack): KubeObject & Json {
  const object = built(manifest);
  if (CLUSTER_WIDE.includes(object.kind)) delete object.metadata.namespace;
  child?.(object);
  return object;
}
const names = attacks.map((attack): [string, Attack] => [attack.what, attack]);

describe('the API, when the Blueprint is published', () => {
  test('takes what is sound', async () => {
    await api.call('POST', '/v1/blueprints', { ...blueprint(workload()), name: 'sound' });
  });

  test.each(names)('refuses %s', async (_what, { manifest }) => {
    await expect(api.call('POST', '/v1/blueprints', blueprint(manifest))).rejects.toThrow(
      /: 422 .*\/nodes\/0\//,
    );
  });
});

describe('the admission policies, although the operator may do everything', () => {
  beforeAll(async () => {
    const admin = ['--clusterrole=cluster-admin', `--serviceaccount=${HOME}:felucca-operator`];
    await cluster.kubectl(['create', 'clusterrolebinding', 'everything', ...admin]);
    await until(
      'it',
      () => cluster.kubectl([asOperator, 'auth', 'can-i', '*', '*', '-A']).catch(String),
      /^yes/,
    );
  });
  afterAll(() => cluster.kubectl(['delete', 'clusterrolebinding', 'everything']));

  test('let through what is sound', async () => {
    for (const manifest of [workload(), config({})])
      await write(asOperator, built(manifest), '--dry-run=server');
  });

  test.each(names)('refuse %s', async (_what, attack) => {
    await until(
      'a refusal',
      attempt(evil(attack)),
      /ValidatingAdmissionPolicy 'felucca-[a-z-]+' .*denied request/,
    );
  });

  test.each<[string, Json]>([
    [
      'outer addresses',
      { apiVersion: 'v1', kind: 'Service', spec: { externalIPs: ['1.2.3.4'], ports: [{ port: 80 }] } },
    ],
    [
      'outer names',
      { apiVersion: 'v1', kind: 'Service', spec: { type: 'ExternalName', externalName: 'a.b' } },
    ],
    [
      'the volume of somebody else',
      {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        spec: {
          volumeName: 'x',
          accessModes: ['ReadWriteOnce'],
          resources: { requests: { storage: '1Gi' } },
        },
      },
    ],
    [
      'configuration of the ingress controller',
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'Ingress',
        metadata: { annotations: { 'nginx.ingress.kubernetes.io/server-snippet': 'x' } },
        spec: { defaultBackend: { service: { name: 'x', port: { number: 80 } } } },
      },
    ],
  ])('refuse %s, as the API does', async (_what, manifest) => {
    await until(
      'a refusal',
      attempt(built(manifest)),
      /ValidatingAdmissionPolicy 'felucca-children' .*denied request/,
    );
    await expect(api.call('POST', '/v1/blueprints', blueprint(manifest))).rejects.toThrow(/: 422 /);
  });

  test("do not let the operator take what is not its own, or give away an Instance's child", async () => {
    const theirs = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'db-evil', namespace: NAMESPACE },
    };
    await cluster.kubectl(['create', '-f', '-'], { stdin: JSON.stringify(theirs) });
    await until('a refusal', attempt(built(config({}))), /somebody else has this name/);
    await cluster.kubectl(['delete', 'configmap', 'db-evil', '-n', NAMESPACE]);
    const child = built(config({}));
    await write(asOperator, child);
    const uid = { [LABELS.instanceUid]: 'another-uid' };
    const owner = { ...child.metadata.ownerReferences![0]!, uid: 'another-uid' };
    const metadata = {
      ...child.metadata,
      labels: { ...child.metadata.labels, ...uid },
      ownerReferences: [owner],
    };
    await until('a refusal', attempt({ ...child, metadata }), /does not give it away/);
    // Its owner stays who it is, whatever somebody made of the label.
    const label = (...to: string[]) =>
      cluster.kubectl(['label', 'configmap', 'db-evil', '-n', NAMESPACE, '--overwrite', ...to]);
    await label(`${LABELS.instanceUid}=another-uid`);
    await until('a refusal', attempt({ ...child, metadata }), /does not give it away/);
    await cluster.kubectl(['delete', 'configmap', 'db-evil', '-n', NAMESPACE]);
  });

  test('let the operator set back or leave behind a child whose label somebody edited, and no other object', async () => {
    const configMap = ['configmap', 'db-evil', '-n', NAMESPACE];
    const label = (...to: string[]) => cluster.kubectl(['label', ...configMap, '--overwrite', ...to]);
    const child = built(config({}));
    await write(asOperator, child);
    const dryRun = ['--type=merge', '--dry-run=server', '-p'];
    const orphan = JSON.stringify({ metadata: { ownerReferences: [] } });
    for (const edit of [`${LABELS.instanceUid}=another-uid`, `${LABELS.instanceUid}-`]) {
      await label(edit, `${LABELS.instance}=another`);
      await cluster.kubectl([asOperator, 'patch', ...configMap, ...dryRun, orphan]);
      await write(asOperator, child);
    }
    await cluster.kubectl(['patch', ...configMap, '--type=merge', '-p', orphan]);
    await write(asOperator, child, '--dry-run=server');
    await label(`${LABELS.instanceUid}-`);
    await until('a refusal', attempt(child), /somebody else has this name/);
    await cluster.kubectl(['delete', ...configMap]);
  });
});

describe('without both', () => {
  beforeAll(async () => {
    await cluster.kubectl(['delete', 'validatingadmissionpolicybindings', '--all']);
    const anything = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'anything', namespace: NAMESPACE },
    };
    await until('no policy to count', attempt(anything), /it was written/);
  });
  const by = (third: Third) => names.filter(([, attack]) => attack.third.includes(third));

  test.each(by('rights'))('the rights of the operator do not allow %s', async (_what, attack) => {
    await until(
      'a refusal',
      attempt(evil(attack)),
      /forbidden: User "system:serviceaccount:felucca-system:felucca-operator" cannot/,
    );
  });

  test.each(by('pod security'))('the namespace lets no pod start with %s', async (_what, attack) => {
    const child = evil(attack);
    // RBAC knows kinds and names, not fields: the workload itself is stored.
    expect(await attempt(child)()).toBe('it was written');
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'db-evil', namespace: NAMESPACE },
      spec: podOf(child),
    };
    const controller = '--as=system:serviceaccount:kube-system:replicaset-controller';
    await expect(write(controller, pod, '--dry-run=server')).rejects.toThrow(
      /violates PodSecurity "restricted/,
    );
  });

  test.each(by('construction'))('the operator itself overwrites %s', (_what, { manifest }) => {
    const child = built(manifest);
    expect(child.metadata.ownerReferences).toMatchObject([
      { name: 'db', uid: instance.metadata.uid, controller: true },
    ]);
    expect(child.metadata.labels).toMatchObject({
      [LABELS.instance]: 'db',
      [LABELS.instanceUid]: instance.metadata.uid,
    });
    if (child.kind === 'Deployment')
      expect(podOf(child)).toMatchObject({
        serviceAccountName: 'felucca-workload',
        automountServiceAccountToken: false,
      });
  });

  test('no account of a tenant has a right that one without any would not have', async () => {
    const rights = async (account: string) =>
      cluster.kubectl(['auth', 'can-i', '--list', '-n', NAMESPACE, `--as=system:serviceaccount:${account}`]);
    const stranger = await rights('nowhere:nobody');
    for (const account of ['default', 'felucca-workload'])
      expect(await rights(`${NAMESPACE}:${account}`), account).toBe(stranger);
  });

  test('an account of another namespace cannot be used', async () => {
    const attack = attacks.find(({ what }) => what === 'pods under felucca-operator')!;
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'db-evil', namespace: NAMESPACE },
      spec: podOf(evil(attack)),
    };
    await expect(write('--v=0', pod, '--dry-run=server')).rejects.toThrow(
      /serviceaccount "felucca-operator" not found/,
    );
  });
});
