import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BlueprintObject, InstanceObject, KubeObject } from '@felucca/contract';
import { type Cluster, endsWithUs, freePort, startCluster, waitUntil } from '@felucca/dev';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { conditionOf } from './reconcile-driver.ts';
import { applyDefinitions } from './support/definitions.ts';

// The operator as it is run, with a Tenant, every example Blueprint and an Instance of each, on simulated nodes.

const valid = join(import.meta.dirname, '../../crds/examples/valid');
const examples = (prefix: string): string[] => readdirSync(valid).filter((file) => file.startsWith(prefix));
const parsed = <T>(file: string): T => parse(readFileSync(join(valid, file), 'utf8')) as T;

let cluster: Cluster;
let stopOperator: () => Promise<void>;
let log = '';

beforeAll(async () => {
  cluster = await startCluster({ name: `test-operator-examples-${process.pid}`, provider: 'kwok' });
  await applyDefinitions(cluster);
  await cluster.kubectl(['create', 'namespace', 'felucca-system']);
  const role = ['create', 'clusterrole', 'felucca-operator-tenant', '--verb=get', '--resource=pods'];
  await cluster.kubectl(role);
  await startOperator();
  await cluster.kubectl(['apply', '--server-side', '-f', join(valid, 'tenant.yaml')]);
  await cluster.kubectl(['wait', '--for=condition=Ready', '--timeout=60s', 'tenant/acme']);
  for (const file of [...examples('blueprint-'), ...examples('instance-')])
    await cluster.kubectl(['apply', '--server-side', '-f', join(valid, file)]);
});
afterAll(async () => {
  await stopOperator?.();
  await cluster?.stop();
});

async function startOperator(): Promise<void> {
  const child = spawn(...endsWithUs(process.execPath, [join(import.meta.dirname, '../src/main.ts')]), {
    env: {
      PATH: process.env['PATH'] ?? '',
      KUBECONFIG: cluster.kubeconfigPath,
      POD_NAME: 'operator-0',
      POD_NAMESPACE: 'felucca-system',
      METRICS_HOST: '127.0.0.1',
      METRICS_PORT: String(await freePort()),
    },
  });
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      log += chunk;
    });
  stopOperator = async () => {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  };
}

const get = async <T extends KubeObject>(...of: string[]): Promise<T> =>
  JSON.parse(await cluster.kubectl(['get', ...of, '-o', 'json'])) as T;

/** Waits until an object is Ready; what it says instead is the failure's message. */
async function ready<T extends KubeObject>(...of: string[]): Promise<T> {
  let found: T | undefined;
  try {
    await waitUntil(
      `${of.join(' ')} to be Ready`,
      async () => {
        found = await get<T>(...of);
        return conditionOf(found, 'Ready')?.status === 'True' || undefined;
      },
      { timeoutMs: 90_000 },
    );
  } catch (error) {
    const said = JSON.stringify(conditionOf(found, 'Ready'));
    throw new Error(`${(error as Error).message}; it says ${said}\n${log.slice(-2000)}`);
  }
  return found as T;
}

test.each(examples('blueprint-'))('%s fits the kinds of the cluster', async (file) => {
  const blueprint = await ready<BlueprintObject>('blueprint', parsed<KubeObject>(file).metadata.name);
  expect(conditionOf(blueprint, 'Ready')).toMatchObject({ reason: 'Valid' });
});

test.each(examples('instance-'))('%s becomes Ready', async (file) => {
  const { metadata } = parsed<InstanceObject>(file);
  const instance = await ready<InstanceObject>('instance', metadata.name, '-n', metadata.namespace ?? '');
  expect(conditionOf(instance, 'DriftDetected')?.status).not.toBe('True');
  const { outputs = {} } = parsed<BlueprintObject>(`blueprint-${instance.spec?.blueprintRef.name}.yaml`)
    .spec as { outputs?: object };
  // Nothing in this cluster gives an Ingress its address.
  const given = Object.keys(outputs).filter((name) => name !== 'address' || file !== 'instance-site.yaml');
  expect(Object.keys(instance.status?.outputs ?? {}).sort()).toEqual(given.sort());
});
