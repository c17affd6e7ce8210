import { readFile, writeFile } from 'node:fs/promises';
import { API_VERSION, type KubeObject, type TenantObject } from '@felucca/contract';
import { type Cluster, freePort, startCluster } from '@felucca/dev';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { readConfig } from '../src/config.ts';
import { OperatorProcess } from '../src/operator-process.ts';
import { ApiError, Controller, GVR } from '../src/runtime/index.ts';
import { log, openSession, type Session, until } from './runtime/session.ts';
import { applyDefinitions } from './support/definitions.ts';

const RESTART_MS = 2_000;
const SILENCE = { unreadyMs: 240_000, restartMs: RESTART_MS };
let cluster: Cluster;
let admin: Session;
let lease = 0;

beforeAll(async () => {
  cluster = await startCluster({ name: `operator-outage-${process.pid}`, provider: 'bare' });
  await cluster.kubectl(['create', 'namespace', 'felucca-system']);
  await applyDefinitions(cluster);
});
afterAll(() => cluster?.stop());
beforeEach(() => {
  admin = openSession(cluster);
});

interface Running {
  operator: OperatorProcess;
  /** What would have ended the process. */
  fatal: string[];
  leaseName: string;
  started: Promise<void>;
  probe(path: '/healthz' | '/readyz'): Promise<string>;
  stop(): Promise<void>;
}

/** An operator in this process, without a control plane; `prepare` runs before it asks for anything. */
async function run(
  env: Record<string, string> = {},
  prepare: (operator: OperatorProcess) => void = () => undefined,
  silence = SILENCE,
): Promise<Running> {
  const leaseName = `operator-${++lease}`;
  const port = await freePort();
  const base = {
    KUBECONFIG: cluster.kubeconfigPath,
    LEASE_NAME: leaseName,
    LEASE_DURATION_MS: '45000',
    METRICS_HOST: '127.0.0.1',
    METRICS_PORT: String(port),
  };
  const fatal: string[] = [];
  const config = readConfig({ ...base, ...env }, 'test');
  const operator = new OperatorProcess(config, log, (why) => void fatal.push(why), silence);
  prepare(operator);
  const started = operator.start();
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= operator.stop());
  onTestFinished(stop);
  return {
    operator,
    fatal,
    leaseName,
    started,
    stop,
    probe: async (path) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      return `${response.status} ${await response.text()}`;
    },
  };
}
const holderOf = async (name: string): Promise<string | undefined> =>
  (await admin.client.get<KubeObject<{ holderIdentity: string }>>(GVR.Lease, 'felucca-system', name))?.spec
    ?.holderIdentity;
const leads = (one: Running): Promise<void> =>
  until('the leader', async () => expect(await holderOf(one.leaseName)).toMatch(/^test_/));
const says = (one: Running, path: '/healthz' | '/readyz', text: RegExp, timeoutMs = 20_000): Promise<void> =>
  until(`${path} says ${text}`, async () => expect(await one.probe(path)).toMatch(text), timeoutMs);

const tenantNamed = (name: string): KubeObject => ({
  apiVersion: API_VERSION,
  kind: 'Tenant',
  metadata: { name },
  spec: {},
});

async function reconciles(name: string): Promise<void> {
  await admin.client.create(GVR.Tenant, undefined, tenantNamed(name));
  await until(
    `the tenant ${name} is reconciled`,
    async () => {
      const tenant = await admin.client.get<TenantObject>(GVR.Tenant, undefined, name);
      expect(tenant?.status?.conditions?.map(({ type }) => type)).toContain('Ready');
    },
    60_000,
  );
}

async function apiServerIsBack(): Promise<void> {
  await cluster.processes['kube-apiserver']!.restart();
  await until('the API server', () => cluster.kubectl(['get', '--raw', '/readyz']), 30_000);
}

/** Counts the lists of a kind that are asked for. */
function countLists({ client: { transport } }: OperatorProcess, plural: string): () => number {
  let lists = 0;
  const stream = transport.stream.bind(transport);
  transport.stream = (sent) => {
    if (sent.path.endsWith(`/${plural}`) && sent.query?.sendInitialEvents) lists += 1;
    return stream(sent);
  };
  return () => lists;
}

test('after a clean stop nothing is listed twice; before that nobody can know who wrote last', async () => {
  let lists = (): number => 0;
  const count = (operator: OperatorProcess): void => {
    lists = countLists(operator, 'instances');
  };
  const first = await run({}, count);
  await reconciles('begun');
  // More when the kind was not served yet.
  expect(lists()).toBeGreaterThanOrEqual(2);
  await first.stop();
  await run({ LEASE_NAME: first.leaseName }, count);
  await reconciles('begun-again');
  expect(lists()).toBe(1);
});

test('who takes over lists the children anew: a watch may be behind what the leader before wrote', async () => {
  const one = await run();
  await leads(one);
  let lists = (): number => 0;
  const two = await run({ LEASE_NAME: one.leaseName }, (operator) => {
    lists = countLists(operator, 'deployments');
  });
  await says(two, '/readyz', /^200/);
  expect(lists()).toBe(1);
  await one.stop();
  await reconciles('taken-over');
  expect(lists()).toBe(2);
});

test('an API server that is away ends nothing: not ready, alive, and at work again when it is back', async () => {
  const one = await run();
  await leads(one);
  await says(one, '/readyz', /^200/);
  // Bookmarks come every minute: with a limit this short the watches look dead while requests succeed.
  await says(one, '/healthz', /^503 .*nothing heard of DataPlane.* although the API server answers/s);
  await cluster.processes['kube-apiserver']!.kill();
  await says(one, '/readyz', /^503 .*apiServer: .*did not answer/s);
  const untilMs = performance.now() + 3 * RESTART_MS;
  await until('a long outage', async () => {
    expect(await one.probe('/healthz')).toMatch(/^200/);
    if (performance.now() < untilMs) throw new Error('not yet');
  });
  await apiServerIsBack();
  await says(one, '/readyz', /^200/, 40_000);
  await reconciles('after-outage');
  expect(one.fatal).toEqual([]);
});

test('a watch that stays silent past its deadline: not ready, with the kind, until it speaks again', async () => {
  // Bookmarks come every minute: with a limit this short every watch of a cluster at rest is stale.
  const one = await run({}, undefined, { unreadyMs: 1_500, restartMs: 600_000 });
  await leads(one);
  await says(one, '/readyz', /^503 .*caches: DataPlane not heard of for \d+ s: its watch is silent/s);
  await says(one, '/readyz', /children: Deployment not heard of for .*; and \d+ more/s);
  expect(await one.probe('/healthz')).toMatch(/^200/);
  const name = 'heard';
  await cluster.kubectl(['create', '-f', '-'], { stdin: JSON.stringify(tenantNamed(name)) });
  await until('what speaks is fresh', async () => {
    await cluster.kubectl(['annotate', 'tenant', name, '--overwrite', `at=${performance.now()}`]);
    const text = await one.probe('/readyz');
    expect(text).toMatch(/Instance not heard of/);
    expect(text).not.toMatch(/Tenant not heard of/);
  });
});

test('an operator that starts while the API server is away waits for it', async () => {
  await cluster.processes['kube-apiserver']!.kill();
  onTestFinished(apiServerIsBack);
  const one = await run();
  await says(one, '/readyz', /^503 .*DataPlane not listed yet: .*did not answer/s);
  const other = await run();
  await says(other, '/readyz', /^503/);
  await other.stop();
  await other.started;
  expect(await one.probe('/healthz')).toMatch(/^200/);
  await apiServerIsBack();
  await says(one, '/readyz', /^200/, 60_000);
  await leads(one);
  expect(await holderOf(other.leaseName)).toBeUndefined();
  expect([...one.fatal, ...other.fatal]).toEqual([]);
});

test('a standby stays over an outage that costs the leader its Lease, and leads after it', async () => {
  await admin.client.create(GVR.Lease, 'felucca-system', {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: `operator-${lease + 1}`, namespace: 'felucca-system' },
    spec: { holderIdentity: 'lost', leaseDurationSeconds: 8, leaseTransitions: 1 },
  } as KubeObject);
  const one = await run({ LEASE_DURATION_MS: '3000' });
  await one.started;
  await cluster.processes['kube-apiserver']!.kill();
  const untilMs = performance.now() + 8_000;
  await says(one, '/readyz', /^503 .*did not answer/s);
  await until('the end of the Lease', () => expect(performance.now()).toBeGreaterThan(untilMs), 10_000);
  expect(await one.probe('/healthz')).toMatch(/^200/);
  await apiServerIsBack();
  await leads(one);
  await says(one, '/readyz', /^200/, 40_000);
  expect(one.fatal).toEqual([]);
});

test('reads that fail at the election are tried again, and /readyz says so meanwhile', async () => {
  let failing = true;
  let lists = 0;
  const one = await run({}, ({ client: { transport } }) => {
    const fail = () => Promise.reject(new ApiError(0, 'NoAnswer', 'no answer'));
    const [request, stream] = [transport.request.bind(transport), transport.stream.bind(transport)];
    transport.request = (sent) => (failing && sent.path.includes('/dataplanes') ? fail() : request(sent));
    transport.stream = (sent) => {
      if (sent.path.endsWith('/dataplanes') && sent.query?.sendInitialEvents) lists += 1;
      return failing && sent.path.endsWith('/dataplanes') && lists > 1 ? fail() : stream(sent);
    };
  });
  await says(
    one,
    '/readyz',
    /leading: (?=.*the reconcilers could not begin: DataPlane not listed again: no answer)(?=.*the link could not begin: .*no answer)/,
  );
  failing = false;
  await says(one, '/readyz', /^200/);
  await until('the status', async () => {
    const plane = await admin.client.get<KubeObject>(GVR.DataPlane, undefined, 'default');
    expect(JSON.stringify(plane?.status)).toMatch(/NotConfigured/);
  });
  await reconciles('after-election');
  expect(one.fatal).toEqual([]);
});

test('a clean stop gives the Lease back whatever becomes of the Events, and waits for those not for long', async () => {
  let held = 0;
  const one = await run({}, ({ client: { transport } }) => {
    const request = transport.request.bind(transport);
    transport.request = (sent) => {
      if (!sent.path.endsWith('/events')) return request(sent);
      held += 1;
      return new Promise(() => undefined);
    };
  });
  // Somebody else's namespace is worth an Event.
  await cluster.kubectl(['create', 'namespace', 'tenant-told-of']);
  await reconciles('told-of');
  await until('an Event', () => expect(held).toBe(1));
  const stopping = one.stop();
  await until('the release', async () => expect(await holderOf(one.leaseName)).toBe(''), 2_000);
  const releasedMs = performance.now();
  await stopping;
  expect(performance.now() - releasedMs).toBeLessThan(4_000);
  expect(one.fatal).toEqual([]);
});

test('a leader that gives up gives its Lease back first', async () => {
  vi.spyOn(Controller.prototype, 'run').mockRejectedValue(new Error('a mistake'));
  onTestFinished(() => void vi.restoreAllMocks());
  const one = await run({}, ({ client: { transport } }) => {
    const request = transport.request.bind(transport);
    transport.request = async (sent) => {
      const { spec } = (sent.body ?? {}) as KubeObject<{ holderIdentity?: string }>;
      // Late enough to be seen missing if the end did not wait for it.
      if (spec?.holderIdentity === '') await new Promise((resolve) => setTimeout(resolve, 500));
      return request(sent);
    };
  });
  await until('the end', () => expect(one.fatal).toEqual(['reconcilers ended: Error: a mistake']));
  expect(await holderOf(one.leaseName)).toBe('');
});

test('a kind of children that may not be listed: not ready, with the kind, the reason and the remedy', async () => {
  const kubeconfig = await withoutCronJobs();
  const one = await run({ KUBECONFIG: kubeconfig });
  await leads(one);
  await says(one, '/readyz', /children: CronJob not listed yet: .*forbidden.*watch cronjobs of batch\/v1/s);
  await cluster.kubectl([
    'create',
    'clusterrolebinding',
    'all',
    '--clusterrole=cluster-admin',
    `--user=${USER}`,
  ]);
  await says(one, '/readyz', /^200/, 60_000);
  await reconciles('after-grant');
});

const USER = 'system:serviceaccount:felucca-system:limited';

/** A kubeconfig of a ServiceAccount that may do everything but see CronJobs. */
async function withoutCronJobs(): Promise<string> {
  const groups = ['', 'apps', 'autoscaling', 'coordination.k8s.io', 'events.k8s.io', 'felucca.dev'];
  const more = ['networking.k8s.io', 'policy', 'rbac.authorization.k8s.io'];
  const rules = [
    { apiGroups: [...groups, ...more], resources: ['*'], verbs: ['*'] },
    { apiGroups: ['batch'], resources: ['jobs'], verbs: ['*'] },
  ];
  const role = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'limited' },
    rules,
  };
  await cluster.kubectl(['create', '-f', '-'], { stdin: JSON.stringify(role) });
  await cluster.kubectl([
    'create',
    'clusterrolebinding',
    'limited',
    '--clusterrole=limited',
    `--user=${USER}`,
  ]);
  await cluster.kubectl(['-n', 'felucca-system', 'create', 'serviceaccount', 'limited']);
  const token = await cluster.kubectl(['-n', 'felucca-system', 'create', 'token', 'limited']);
  const kubeconfig = JSON.parse(await readFile(cluster.kubeconfigPath, 'utf8'));
  kubeconfig.users[0].user = { token: token.trim() };
  const path = `${cluster.stateDir}/limited.kubeconfig`;
  await writeFile(path, JSON.stringify(kubeconfig), { mode: 0o600 });
  return path;
}
