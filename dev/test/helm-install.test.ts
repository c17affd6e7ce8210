import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { type Cluster, definitionsEstablished, startCluster, waitUntil } from '../src/index.ts';
import {
  type ChartName,
  chartPath,
  helm,
  NAMESPACE,
  REQUIRED,
  render,
  setFlags,
  VALUE_SETS,
} from './helm.ts';

const OPERATOR = `system:serviceaccount:${NAMESPACE}:felucca-operator`;
let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ name: `test-helm-${process.pid}`, provider: 'bare' });
  await cluster.kubectl(['create', 'namespace', NAMESPACE]);
});
afterAll(() => cluster?.stop());

const release = (chart: ChartName, verb: 'install' | 'upgrade', ...values: string[]) =>
  helm(
    [
      verb,
      chart,
      chartPath(chart),
      '--namespace',
      NAMESPACE,
      '--wait=hookOnly',
      ...setFlags([...REQUIRED[chart], ...values]),
    ],
    cluster.kubeconfigPath,
  );
const uninstall = (chart: ChartName) =>
  helm(['uninstall', chart, '--namespace', NAMESPACE, '--wait=hookOnly'], cluster.kubeconfigPath);
const names = async (kind: string, selector = ''): Promise<string[]> => {
  const text = await cluster.kubectl([
    'get',
    kind,
    '-A',
    '-o',
    'name',
    ...(selector ? ['-l', selector] : []),
  ]);
  return text.split('\n').filter((line) => line !== '');
};

test('the real API server takes every object of every value set', async () => {
  await cluster.kubectl(['apply', '-f', '-'], { stdin: stringify(monitoringKind('ServiceMonitor')) });
  await cluster.kubectl(['apply', '-f', '-'], { stdin: stringify(monitoringKind('PrometheusRule')) });
  await definitionsEstablished(cluster);
  for (const [chart, sets] of Object.entries(VALUE_SETS))
    for (const values of Object.values(sets)) {
      const manifests = await render(chart as ChartName, values);
      const stdin = manifests.map((manifest) => stringify(manifest)).join('---\n');
      await cluster.kubectl(
        ['apply', '--server-side', '--validate=strict', '--dry-run=server', '-n', NAMESPACE, '-f', '-'],
        { stdin },
      );
    }
});

test('the operator installs, upgrades, leaves its definitions and Instances behind, and installs again', async () => {
  expect(await release('felucca-operator', 'install')).toContain('rollout status');
  await definitionsEstablished(cluster);
  await cluster.kubectl(['apply', '-f', '-'], {
    stdin: 'apiVersion: felucca.dev/v1alpha1\nkind: Tenant\nmetadata: {name: kept}\nspec: {}\n',
  });
  await release('felucca-operator', 'upgrade', 'replicas=2');
  expect(await names('poddisruptionbudget')).toEqual(['poddisruptionbudget.policy/felucca-operator']);
  await uninstall('felucca-operator');
  expect(await names('validatingadmissionpolicy')).toEqual([]);
  expect(await names('clusterrole', 'app.kubernetes.io/name=felucca-operator')).toEqual([]);
  expect(await names('tenants')).toEqual(['tenant.felucca.dev/kept']);
  await release('felucca-operator', 'install');
  expect(await names('tenants')).toEqual(['tenant.felucca.dev/kept']);
});

test('a second release in the same cluster is refused', async () => {
  const args = [
    'install',
    'second',
    chartPath('felucca-operator'),
    '--namespace',
    'default',
    '--wait=hookOnly',
  ];
  await expect(helm(args, cluster.kubeconfigPath)).rejects.toThrow(/felucca-operator|ownership|conflict/i);
});

test('the control plane installs, upgrades and leaves nothing behind', async () => {
  await release('felucca-control-plane', 'install');
  await release(
    'felucca-control-plane',
    'upgrade',
    'replicas=2',
    'ingress.enabled=true',
    'ingress.host=x.example',
  );
  expect(await names('ingress')).toHaveLength(1);
  await uninstall('felucca-control-plane');
  await waitUntil(
    'everything of the release to be gone',
    async () => {
      const left = await names(
        'deploy,svc,ingress,pdb,sa,networkpolicy',
        'app.kubernetes.io/instance=felucca-control-plane',
      );
      if (left.length > 0) throw new Error(left.join(' '));
      return true;
    },
    { timeoutMs: 20_000 },
  );
});

describe("the operator's rights, asked of the API server", () => {
  const canI = async (...question: string[]): Promise<string> =>
    (
      await cluster
        .kubectl(['auth', 'can-i', ...question, `--as=${OPERATOR}`])
        .catch((error: Error) => error.message)
    ).includes('yes')
      ? 'yes'
      : 'no';

  test.each([
    'get instances.felucca.dev -A',
    'patch instances.felucca.dev --subresource=status -n tenant-acme',
    'update tenants.felucca.dev --subresource=finalizers',
    'create namespaces',
    'watch deployments.apps -A',
    'watch pods -A',
    'create rolebindings.rbac.authorization.k8s.io/felucca-operator -n tenant-acme',
    'create events.events.k8s.io -n default',
    `update leases.coordination.k8s.io/felucca-operator -n ${NAMESPACE}`,
    `get secrets/felucca-operator-identity -n ${NAMESPACE}`,
  ])('yes: %s', async (question) => {
    expect(await canI(...question.split(' '))).toBe('yes');
  });

  test.each([
    'list secrets -A',
    'get secrets -n default',
    'get secrets -n kube-system',
    'get secrets -n tenant-acme',
    `list secrets -n ${NAMESPACE}`,
    `get secrets/another -n ${NAMESPACE}`,
    `delete secrets/felucca-operator-identity -n ${NAMESPACE}`,
    'create deployments.apps -n default',
    'create pods -n tenant-acme',
    'create pods/exec -n tenant-acme',
    'delete persistentvolumeclaims -n default',
    'create rolebindings.rbac.authorization.k8s.io -n tenant-acme',
    'create clusterrolebindings.rbac.authorization.k8s.io',
    'delete rolebindings.rbac.authorization.k8s.io -n default',
    'escalate clusterroles.rbac.authorization.k8s.io/felucca-operator-tenant',
    'bind clusterroles.rbac.authorization.k8s.io/cluster-admin',
    'impersonate users',
    'create serviceaccounts/token -n kube-system',
    'update customresourcedefinitions.apiextensions.k8s.io',
    'delete validatingadmissionpolicies.admissionregistration.k8s.io',
    'get nodes',
  ])('no: %s', async (question) => {
    expect(await canI(...question.split(' '))).toBe('no');
  });
});

/** Prometheus Operator's kinds, as far as a dry run needs them. */
function monitoringKind(kind: string): object {
  const plural = `${kind.toLowerCase()}s`;
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.monitoring.coreos.com` },
    spec: {
      group: 'monitoring.coreos.com',
      scope: 'Namespaced',
      names: { kind, plural },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  };
}
