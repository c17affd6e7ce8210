import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { InstanceObject } from '@felucca/contract';
import { type Cluster, resolveBinary, startCluster } from '@felucca/dev';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { capture } from './support/captured.ts';
import { instance } from './support/stage.ts';

// Two shards on a real API server, without an operator: what it would write is written by hand, and so without the
// policies that let nobody else write it.
const CHART = join(import.meta.dirname, '../../helm/felucca-operator');
const NAMESPACE = 'felucca-system';
let cluster: Cluster;
/** An Instance of each shard. */
const named: string[] = [];

const felucca = (...args: string[]) => capture({ kubeconfig: cluster.kubeconfigPath }, args);
const apply = (...items: object[]) =>
  cluster.kubectl(['apply', '-f', '-'], {
    stdin: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
  });
const writeLease = (name: string, holderIdentity: string, ageMs = 0) =>
  apply({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      holderIdentity,
      leaseDurationSeconds: 15,
      // A MicroTime has six digits.
      renewTime: new Date(Date.now() - ageMs).toISOString().replace('Z', '000Z'),
    },
  });

beforeAll(async () => {
  cluster = await startCluster({ name: `cli-shards-${process.pid}`, provider: 'bare' });
  const settings = ['deployment.enabled=false', 'admissionPolicies.enabled=false', 'shards=2'].flatMap(
    (setting) => ['--set', setting],
  );
  const where = ['--namespace', NAMESPACE, '--create-namespace', '--kubeconfig', cluster.kubeconfigPath];
  await promisify(execFile)(await resolveBinary('helm'), [
    'install',
    'felucca-operator',
    CHART,
    ...where,
    ...settings,
  ]);
  await cluster.kubectl(['create', 'namespace', 'tenant-acme']);
  await cluster.kubectl(['create', 'clusterrolebinding', 'sre', '--clusterrole=felucca-view', '--user=sre']);
  await cluster.kubectl([
    'create',
    'rolebinding',
    'dev',
    '--clusterrole=felucca-view',
    '--user=dev',
    '-n',
    'tenant-acme',
  ]);
  const names = Array.from({ length: 12 }, (_, index) => `db-${index}`);
  await apply(...names.map((name) => instance('tenant-acme', name)));
  const list = await cluster.kubectl(['get', 'instances', '-n', 'tenant-acme', '-o', 'json']);
  for (const { metadata } of (JSON.parse(list) as { items: InstanceObject[] }).items)
    named[Number.parseInt(metadata.uid!.slice(0, 8), 16) % 2] = metadata.name;
  await apply({
    apiVersion: 'felucca.dev/v1alpha1',
    kind: 'DataPlane',
    metadata: { name: 'default' },
    spec: {},
  });
  await writeLease('felucca-operator', '', 60_000);
  await writeLease('felucca-operator-0-of-2', 'operator-a');
  await writeLease('felucca-operator-1-of-2', 'operator-b', 60_000);
});
afterAll(() => cluster?.stop());

test('why looks at the Lease of the shard that the Instance belongs to', async () => {
  const well = await felucca('why', `tenant-acme/${named[0]}`);
  expect(well.stdout).toMatch(/✓ operator +operator-a leads shard 0 of 2\n/);
  const unled = await felucca('why', `tenant-acme/${named[1]}`);
  expect(unled.stdout).toMatch(
    /✗ operator +no operator leads shard 1 of 2: operator-b renewed its Lease \S+ ago/,
  );
  expect(unled.stdout).toContain('Lease/felucca-operator-1-of-2');
  expect(unled.exitCode).toBe(1);
});

test('status tells of each shard', async () => {
  const { stdout } = await felucca('status');
  expect(stdout).toMatch(
    /^Operator +operator-a leads shard 0 of 2\n +no operator leads shard 1 of 2: operator-b/,
  );
});

test('who may read each Lease by its name only is told the same, once the operator wrote something', async () => {
  const hidden = await felucca('why', `tenant-acme/${named[1]}`, '--as', 'sre');
  expect(hidden.stdout).toMatch(/\? operator +you may not read the Lease felucca-operator in felucca-system/);
  const status = JSON.stringify({ status: { observedGeneration: 1, term: 'felucca-operator-0-of-2/7' } });
  await cluster.kubectl([
    'patch',
    'dataplane',
    'default',
    '--subresource=status',
    '--type=merge',
    '-p',
    status,
  ]);
  const seen = await felucca('why', `tenant-acme/${named[1]}`, '--as', 'sre');
  expect(seen.stdout).toMatch(/✗ operator +no operator leads shard 1 of 2: operator-b/);
});

test('who may read no Lease is told which it is', async () => {
  const name = named[1]!;
  const status = JSON.stringify({ status: { observedGeneration: 1, term: 'felucca-operator-1-of-2/7' } });
  await cluster.kubectl([
    ...['patch', 'instance', name, '-n', 'tenant-acme', '--subresource=status', '--type=merge', '-p', status],
  ]);
  const { stdout } = await felucca('why', name, '-n', 'tenant-acme', '--as', 'dev');
  expect(stdout).toMatch(/\? operator +you may not read the Lease felucca-operator-1-of-2 in felucca-system/);
});

test('a Lease that was given back and taken again is seen so', async () => {
  await writeLease('felucca-operator-1-of-2', '');
  const given = await felucca('why', `tenant-acme/${named[1]}`);
  expect(given.stdout).toMatch(/✗ operator +no operator leads shard 1 of 2: the last one stopped/);
  await writeLease('felucca-operator-1-of-2', 'operator-a');
  const taken = await felucca('why', `tenant-acme/${named[1]}`);
  expect(taken.stdout).toMatch(/✓ operator +operator-a leads shard 1 of 2\n/);
});
