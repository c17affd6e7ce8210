import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resolveBinary } from '../src/binaries/resolve.ts';
import { busyboxArchive, type Cluster, startCluster } from '../src/index.ts';
import { waitUntil } from '../src/process/wait-until.ts';
import { anonymousStatus } from './anonymous.ts';

const canRun = process.platform === 'linux' && process.getuid?.() === 0;

describe.skipIf(!canRun)('real nodes', () => {
  let cluster: Cluster;
  let image: string;
  beforeAll(async () => {
    cluster = await startCluster({ name: 'test-nodes', provider: 'nodes' });
    const busybox = await busyboxArchive();
    await cluster.loadImage(busybox.archive);
    image = busybox.reference;
  });
  afterAll(() => cluster?.stop());

  const apply = (...objects: unknown[]) =>
    cluster.kubectl(['apply', '-f', '-'], {
      stdin: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
    });
  const container = (extra: object = {}) => ({ name: 'c', image, imagePullPolicy: 'IfNotPresent', ...extra });
  const pod = (name: string, spec: object) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { restartPolicy: 'Never', terminationGracePeriodSeconds: 1, ...spec },
  });
  /** Runs a pod to its end and returns what it printed. */
  const runPod = async (name: string, spec: object): Promise<string> => {
    await apply(pod(name, spec));
    await waitUntil(
      `pod ${name} to end`,
      async () =>
        /Succeeded|Failed/.test(
          await cluster.kubectl(['get', 'pod', name, '-o', 'jsonpath={.status.phase}']),
        ),
      { timeoutMs: 30_000 },
    );
    return cluster.kubectl(['logs', name]);
  };

  test('a container runs and is reached by its ClusterIP, from the host and from a pod', async () => {
    const labels = { app: 'web' };
    await apply(
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web' },
        spec: {
          replicas: 2,
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: {
              terminationGracePeriodSeconds: 1,
              containers: [container({ readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } })],
            },
          },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
      },
    );
    await cluster.kubectl(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    const clusterIp = await cluster.kubectl(['get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}']);
    const seen = new Set<string>();
    await waitUntil(
      'both pods to answer behind the ClusterIP',
      async () => {
        const response = await fetch(`http://${clusterIp}/index.html`, {
          signal: AbortSignal.timeout(2_000),
        });
        seen.add((await response.text()).trim());
        return seen.size === 2;
      },
      { timeoutMs: 20_000 },
    );
    expect([...seen].every((name) => name.startsWith('web-'))).toBe(true);
    const fetched = await runPod('client', {
      containers: [
        container({
          command: ['sh', '-c', `printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc ${clusterIp} 80`],
        }),
      ],
    });
    expect(fetched).toContain('web-');
  });

  test("an operator's pod reaches the API server with its ServiceAccount, by address and by name", async () => {
    const tools = dirname(await resolveBinary('kubectl'));
    const spec = (command: string) => ({
      containers: [
        container({ command: ['sh', '-c', command], volumeMounts: [{ name: 'tools', mountPath: '/tools' }] }),
      ],
      volumes: [{ name: 'tools', hostPath: { path: tools } }],
    });
    const whoami = '/tools/kubectl auth whoami -o jsonpath={.status.userInfo.username}';
    expect(await runPod('in-cluster', spec(whoami))).toBe('system:serviceaccount:default:default');
    const byName = [
      `${whoami} --server=https://kubernetes.default.svc`,
      '--certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
      '--token="$(cat /var/run/secrets/kubernetes.io/serviceaccount/token)"',
    ].join(' ');
    expect(await runPod('in-cluster-by-name', spec(byName))).toBe('system:serviceaccount:default:default');
  });

  test('a pod reaches a server on this host at hostAddress', async () => {
    const server: Server = createServer((_request, response) => response.end('hello from the host'));
    await new Promise<void>((resolve) => server.listen(0, cluster.hostAddress, resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const request = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc ${cluster.hostAddress} ${port}`;
      const output = await runPod('to-host', { containers: [container({ command: ['sh', '-c', request] })] });
      expect(output).toContain('hello from the host');
    } finally {
      server.close();
    }
  });

  test('a claim binds, an unprivileged pod writes to it, and its successor reads that', async () => {
    const securityContext = {
      runAsUser: 1000,
      runAsNonRoot: true,
      fsGroup: 1000,
      seccompProfile: { type: 'RuntimeDefault' },
    };
    const spec = (command: string) => ({
      securityContext,
      containers: [
        container({ command: ['sh', '-c', command], volumeMounts: [{ name: 'data', mountPath: '/data' }] }),
      ],
      volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }],
    });
    await apply({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'data' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    });
    await runPod('writer', spec('id -g; echo kept > /data/file'));
    expect(await runPod('reader', spec('cat /data/file'))).toBe('kept\n');
    await cluster.kubectl(['delete', 'pod', 'writer', 'reader', '--wait']);
    await cluster.kubectl(['delete', 'pvc', 'data']);
    await cluster.kubectl(['wait', '--for=delete', 'pv', '--all', '--timeout=30s']);
  });

  test('exec works, and the kubelet refuses whoever has no credential', async () => {
    const output = await cluster.kubectl(['exec', 'deployment/web', '--', 'cat', '/tmp/index.html']);
    expect(output).toMatch(/^web-/);
    const address = await cluster.kubectl([
      'get',
      'node',
      'node-1',
      '-o',
      'jsonpath={.status.addresses[0].address}',
    ]);
    expect(await anonymousStatus(`https://${address}:10250/pods`)).toBe(401);
  });

  test('a lost node becomes NotReady, and Ready again with its images after a restart', async () => {
    const ready = (status: string) =>
      cluster.kubectl(['wait', `--for=condition=Ready=${status}`, 'node/node-2', '--timeout=60s']);
    await cluster.processes['node-2']!.kill();
    await ready('Unknown');
    await cluster.processes['node-2']!.restart();
    await ready('true');
    const output = await runPod('back', {
      nodeName: 'node-2',
      containers: [container({ command: ['echo', 'back'] })],
    });
    expect(output).toBe('back\n');
  });
});
