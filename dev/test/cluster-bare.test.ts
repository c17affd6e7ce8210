import { existsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../src/index.ts';
import { waitUntil } from '../src/process/wait-until.ts';
import { anonymousStatus } from './anonymous.ts';
import { scratchDirectory } from './scratch.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ name: 'test-bare', provider: 'bare' });
});
afterAll(() => cluster?.stop());

test('controllers work: a namespace gets its ServiceAccount and the CA to trust', async () => {
  await cluster.kubectl(['create', 'namespace', 'tenant']);
  await waitUntil(
    'the default ServiceAccount',
    () => cluster.kubectl(['-n', 'tenant', 'get', 'sa', 'default']),
    {
      timeoutMs: 10_000,
    },
  );
  await waitUntil('the CA', () => cluster.kubectl(['-n', 'tenant', 'get', 'cm', 'kube-root-ca.crt']), {
    timeoutMs: 10_000,
  });
});

test('a token from the TokenRequest API is that ServiceAccount, with no more than its rights', async () => {
  await cluster.kubectl(['create', 'serviceaccount', 'reader']);
  const token = (await cluster.kubectl(['create', 'token', 'reader'])).trim();
  const as = (...args: string[]) => cluster.kubectl([`--token=${token}`, ...args]);
  expect(await as('auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}')).toBe(
    'system:serviceaccount:default:reader',
  );
  await expect(as('get', 'secrets')).rejects.toThrow(/Forbidden/);
});

test('nobody gets in without a credential', async () => {
  expect(await anonymousStatus(`${cluster.server}/version`)).toBe(401);
});

test('the admin credential is readable by its owner only', () => {
  for (const path of [cluster.kubeconfigPath, join(cluster.stateDir, 'pki', 'tokens.csv')]) {
    expect(statSync(path).mode & 0o077).toBe(0);
  }
});

test('a paused API server answers nothing, a resumed one goes on', async () => {
  const apiServer = cluster.processes['kube-apiserver']!;
  apiServer.pause();
  try {
    await expect(cluster.kubectl(['get', '--raw', '/readyz'], { timeoutMs: 1_000 })).rejects.toThrow(
      /took over 1000 ms/,
    );
  } finally {
    apiServer.resume();
  }
  expect(await cluster.kubectl(['get', '--raw', '/readyz'])).toBe('ok');
});

test('an etcd that was killed comes back with its data', async () => {
  await cluster.kubectl(['create', 'configmap', 'kept']);
  await cluster.processes['etcd']!.kill();
  await cluster.processes['etcd']!.restart();
  await waitUntil('the object to be there again', () => cluster.kubectl(['get', 'cm', 'kept']), {
    timeoutMs: 20_000,
  });
});

test('a second cluster runs beside the first; the same name twice is refused', async () => {
  await expect(startCluster({ name: 'test-bare', provider: 'bare' })).rejects.toThrow(/already runs/);
  const second = await startCluster({ name: 'test-bare-2', provider: 'bare' });
  try {
    expect(second.server).not.toBe(cluster.server);
    await expect(second.kubectl(['get', 'namespace', 'tenant'])).rejects.toThrow(/NotFound/);
  } finally {
    await second.stop();
  }
  expect(existsSync(second.stateDir)).toBe(false);
});

test('a persistent cluster finds its objects, its address and its tokens again', async () => {
  const stateDir = join(scratchDirectory(), 'kept');
  const options = { name: 'test-kept', provider: 'bare', persistent: true, stateDir } as const;
  const first = await startCluster(options);
  await first.kubectl(['create', 'configmap', 'kept']);
  await first.stop();
  const second = await startCluster(options);
  try {
    expect([second.server, second.adminToken, second.caPem]).toEqual([
      first.server,
      first.adminToken,
      first.caPem,
    ]);
    await second.kubectl(['get', 'configmap', 'kept']);
  } finally {
    await second.stop();
  }
});

test('a persistent cluster whose port is taken says by whom, and is found again when it is free', async () => {
  const stateDir = join(scratchDirectory(), 'taken');
  const options = { name: 'test-taken', provider: 'bare', persistent: true, stateDir } as const;
  const first = await startCluster(options);
  await first.kubectl(['create', 'configmap', 'kept']);
  await first.stop();
  const thief = createServer();
  const port = Number(new URL(first.server).port);
  await new Promise<void>((resolve) => thief.listen(port, '127.0.0.1', resolve));
  await expect(startCluster(options)).rejects.toThrow(
    new RegExp(`port ${port}, pid ${process.pid} \\(.+everything in ${stateDir} is kept`),
  );
  await new Promise((resolve) => thief.close(resolve));
  const second = await startCluster(options);
  await second.kubectl(['get', 'configmap', 'kept']).finally(() => second.stop());
});

test('a program of a persistent cluster that somebody kills is started again, and says so', async () => {
  const lines: string[] = [];
  const cluster = await startCluster({
    name: 'test-mended',
    provider: 'bare',
    persistent: true,
    stateDir: join(scratchDirectory(), 'mended'),
    onProgress: (line) => lines.push(line),
  });
  try {
    await cluster.kubectl(['create', 'configmap', 'kept']);
    for (const name of ['etcd', 'kube-apiserver', 'kube-controller-manager'] as const) {
      process.kill(cluster.processes[name]!.pid!, 'SIGKILL');
      await expect
        .poll(() => lines.at(-1))
        .toBe(`${name} ended (SIGKILL); it is started again; log ${cluster.processes[name]!.logPath}`);
      const read = () => cluster.kubectl(['get', 'configmap', 'kept', '-o', 'name']).catch(String);
      await expect.poll(read, { timeout: 30_000, interval: 500 }).toBe('configmap/kept\n');
    }
    expect(lines.filter((line) => / ended /.test(line))).toHaveLength(3);
  } finally {
    await cluster.stop();
  }
});

test('a start that cannot work says which program failed, where its log is, and leaves nothing', async () => {
  const stateDir = join(scratchDirectory(), 'hasty');
  await expect(
    startCluster({ name: 'test-hasty', provider: 'bare', stateDir, timeoutMs: 600 }),
  ).rejects.toThrow(/Gave up after .* waiting for: [\s\S]*log: .*\.log/);
  expect(existsSync(stateDir)).toBe(false);
});

test('a start can be given up, and leaves nothing', async () => {
  const stateDir = join(scratchDirectory(), 'aborted');
  const starting = startCluster({
    name: 'test-aborted',
    provider: 'bare',
    stateDir,
    signal: AbortSignal.timeout(700),
  });
  await expect(starting).rejects.toThrow(/aborted/);
  expect(existsSync(stateDir)).toBe(false);
});

test('a folder that is not ours is never taken over', async () => {
  const stateDir = scratchDirectory();
  await expect(startCluster({ name: 'test-foreign', provider: 'bare', stateDir })).rejects.toThrow(
    /no cluster of ours/,
  );
  expect(existsSync(stateDir)).toBe(true);
});
