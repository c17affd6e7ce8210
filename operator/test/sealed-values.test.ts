import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type Cluster, startCluster } from '@felucca/dev';
import { everyTable, tracesOf } from '@felucca/dev/traces';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ControlApi } from './support/control-api.ts';
import { applyDefinitions } from './support/definitions.ts';
import { eventually as within } from './support/eventually.ts';
import { metricsOf, type OperatorUnderTest, spawnOperator } from './support/operator-under-test.ts';

const NAMESPACE = 'felucca-system';
const eventually = <T>(what: string, check: Parameters<typeof within<T>>[1]) => within(what, check, 60_000);
const canary = (): string => `canary-${randomBytes(12).toString('hex')}`;
const [FIRST, SECOND, THIRD, TYPED, LOCAL] = Array.from({ length: 5 }, canary) as [
  string,
  string,
  string,
  string,
  string,
];

const VAULT = {
  name: 'vault',
  version: '1.0.0',
  parameters: {
    type: 'object',
    properties: {
      size: { type: 'integer', default: 1 },
      password: { type: 'string', sensitive: true, maxLength: 64 },
    },
  },
  nodes: [
    {
      id: 'secret',
      generate: [{ key: 'made', length: 20 }],
      manifest: { apiVersion: 'v1', kind: 'Secret', stringData: { url: 'pg://u:${params.password}@db' } },
    },
    {
      id: 'config',
      manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { a: '${string(params.size)}' } },
    },
  ],
  outputs: {
    url: { value: "${secretRef('secret', 'url')}", sensitive: true },
    made: { value: "${secretRef('secret', 'made')}", sensitive: true },
  },
};

let cluster: Cluster;
let api: ControlApi;
let operator: OperatorUnderTest;
let token = '';
/** What the operator has generated. */
let made = '';
const logs: string[] = [];

async function startOperator(): Promise<void> {
  operator = await spawnOperator({
    KUBECONFIG: cluster.kubeconfigPath,
    POD_NAME: 'operator-0',
    POD_NAMESPACE: NAMESPACE,
    FELUCCA_API_URL: api.url,
    FELUCCA_JOIN_TOKEN: token,
    // Nothing here is about losing it, which a slow machine would do.
    LEASE_DURATION_MS: '60000',
    LOG_LEVEL: 'debug',
  });
}
async function stopOperator(): Promise<void> {
  const ended = once(operator.child, 'exit');
  operator.child.kill('SIGTERM');
  await ended;
  logs.push(operator.log());
}

beforeAll(async () => {
  const name = `operator-seal-${process.pid}`;
  [cluster, api] = await Promise.all([startCluster({ name, provider: 'bare' }), ControlApi.start(name)]);
  await cluster.kubectl(['create', 'namespace', NAMESPACE]);
  await applyDefinitions(cluster);
  for (const organization of ['acme', 'rival'])
    await api.call('POST', '/v1/organizations', { name: organization });
  await api.call('POST', '/v1/blueprints', VAULT);
  await api.call('POST', '/v1/data-planes', { name: 'dp' });
  token = (await api.call('POST', '/v1/data-planes/dp/join-tokens', {})).token;
  await startOperator();
  await eventually('the key is told', async () => (await keyId()) !== undefined);
});
afterAll(async () => {
  operator?.child.kill('SIGKILL');
  await api?.stop();
  await cluster?.stop();
});

const keyId = async (): Promise<string | undefined> =>
  (await api.call('GET', '/v1/data-planes/dp')).link.sealingKeyId;
const INSTANCE = '/v1/organizations/acme/instances/db';
const order = (organization: string, name: string, parameters: object) =>
  api.call('POST', `/v1/organizations/${organization}/instances`, {
    name,
    dataPlane: 'dp',
    blueprint: 'vault',
    version: '1.0.0',
    parameters,
  });
// biome-ignore lint/suspicious/noExplicitAny: objects as the API server returns them
async function get(kind: string, name: string, namespace = 'tenant-acme'): Promise<any> {
  const text = await cluster.kubectl([
    'get',
    kind,
    name,
    '-n',
    namespace,
    '-o',
    'json',
    '--ignore-not-found',
  ]);
  return text.trim() === '' ? undefined : JSON.parse(text);
}
const urlIn = async (name = 'db-secret'): Promise<string> => {
  const { data = {} } = (await get('secret', name)) ?? {};
  return Buffer.from(data.url ?? '', 'base64').toString();
};
const holds = (secret: string, name?: string) =>
  eventually(`the Secret holds it`, async () => (await urlIn(name)) === `pg://u:${secret}@db`);
const condition = async (name: string, type: string, namespace?: string) =>
  (await get('instance', name, namespace))?.status?.conditions?.find(
    (item: { type: string }) => item.type === type,
  );
const lookAgain = (name: string) =>
  cluster.kubectl([
    'annotate',
    'instance',
    name,
    '-n',
    'tenant-acme',
    '--overwrite',
    `felucca.dev/reconcile-requested-at=${randomBytes(4).toString('hex')}`,
  ]);
const patchInstance = (name: string, spec: object) =>
  cluster.kubectl([
    'patch',
    'instance',
    name,
    '-n',
    'tenant-acme',
    '--type=merge',
    '-p',
    JSON.stringify({ spec }),
  ]);
const apply = (object: object) => cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(object) });
const instance = (name: string, namespace: string, password: unknown, annotations = {}) => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name, namespace, annotations },
  spec: { blueprintRef: { name: 'vault', version: '1.0.0' }, parameters: { password } },
});

// Invariant L36.
it('a sensitive value is opened for its Secret, and another one replaces it', async () => {
  await order('acme', 'db', { password: FIRST });
  await holds(FIRST);
  await eventually('it is Ready', async () => (await condition('db', 'Ready'))?.status === 'True');
  await api.call('PATCH', INSTANCE, { parameters: { password: SECOND } });
  await holds(SECOND);
});

it('what somebody changes in the Secret is set back, and its drift tells no value', async () => {
  const data = { data: { url: Buffer.from(TYPED).toString('base64') } };
  await cluster.kubectl(['patch', 'secret', 'db-secret', '-n', 'tenant-acme', '-p', JSON.stringify(data)]);
  await lookAgain('db');
  await holds(SECOND);
  await eventually(
    'the drift is told',
    async () => (await api.call('GET', `${INSTANCE}/drift`)).items.length > 0,
  );
  expect((await api.call('GET', `${INSTANCE}/drift`)).items).toMatchObject([
    { path: '/data/url', expected: 'a secret value', actual: 'another secret value' },
  ]);
});

it('what somebody writes into the Instance in the clear is set back, and nobody is told of it', async () => {
  await patchInstance('db', { parameters: { password: TYPED } });
  const isSet = async () => (await get('instance', 'db')).spec.parameters.password.sealed !== undefined;
  await eventually('it is set back', isSet);
  const drifts = async () => (await api.call('GET', `${INSTANCE}/drift`)).items;
  await eventually('the drift is told', async () => (await drifts()).length > 1);
  expect((await drifts())[0]).toMatchObject({ expected: 'a sensitive value', actual: 'another value' });
});

// Invariant L37.
it('a sealed value that is moved to another Instance is not opened', async () => {
  await order('rival', 'own', { password: 'of another tenant' });
  await eventually('the other tenant is there', async () => get('configmap', 'own-config', 'tenant-rival'));
  const { spec, metadata, status } = await get('instance', 'db');
  const { password } = spec.parameters;
  await apply(instance('thief', 'tenant-rival', password));
  await apply(instance('thief', 'tenant-acme', password));
  // Anybody can write annotations; what the sync has verified is in the status.
  const forged = {
    'felucca.dev/id': status.desired.id,
    'felucca.dev/generation': metadata.annotations['felucca.dev/generation'],
    'felucca.dev/digest': metadata.annotations['felucca.dev/digest'],
  };
  await apply({ ...instance('forger', 'tenant-rival', password, forged), spec });
  for (const namespace of ['tenant-rival', 'tenant-acme']) {
    await eventually(
      'it is refused',
      async () => (await condition('thief', 'Stalled', namespace))?.status === 'True',
    );
    expect(await condition('thief', 'Stalled', namespace)).toMatchObject({
      reason: 'SealedValueRefused',
      message: expect.stringMatching(
        /^parameter \/password was sealed for another Instance.*; send the value again/,
      ),
    });
    expect(await get('secret', 'thief-secret', namespace)).toBeUndefined();
  }
  await eventually(
    'the forger waits',
    async () => (await condition('forger', 'Ready', 'tenant-rival'))?.reason === 'SpecEdited',
  );
  expect(await get('secret', 'forger-secret', 'tenant-rival')).toBeUndefined();
});

it('an Instance that is applied with kubectl names a Secret, and follows it', async () => {
  await apply(instance('mine', 'tenant-acme', { secretRef: { name: 'given', key: 'pw' } }));
  await eventually('it waits', async () => (await condition('mine', 'Ready'))?.reason === 'SecretNotFound');
  const given = (pw: string) =>
    apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'given', namespace: 'tenant-acme' },
      data: { pw: Buffer.from(pw).toString('base64') },
    });
  await given('before');
  await lookAgain('mine');
  await holds('before', 'mine-secret');
  await given(LOCAL);
  await lookAgain('mine');
  await holds(LOCAL, 'mine-secret');
  await apply(instance('mine', 'tenant-acme', 'in the clear'));
  await eventually(
    'it is refused',
    async () => (await condition('mine', 'Ready'))?.reason === 'ParametersInvalid',
  );
});

// Invariant L38.
it('a sensitive output is opened by the API, and follows its Secret', async () => {
  const reveal = (output: string) => api.call('POST', `${INSTANCE}/outputs/${output}/reveal`);
  await eventually('it is told', async () => (await reveal('url')).value === `pg://u:${SECOND}@db`);
  made = (await reveal('made')).value;
  expect(made).toBe(Buffer.from((await get('secret', 'db-secret')).data.made, 'base64').toString());
  await api.call('PATCH', INSTANCE, { parameters: { password: THIRD } });
  await eventually('the new one is told', async () => (await reveal('url')).value === `pg://u:${THIRD}@db`);
});

it('after a rotation new values are sealed to the new key, and old ones still open', async () => {
  const old = await keyId();
  await cluster.kubectl(['annotate', 'dataplane', 'default', 'felucca.dev/rotate-sealing-key=test']);
  await eventually('the new key is told', async () => (await keyId()) !== old);
  const { resourceVersion } = (await get('secret', 'db-secret')).metadata;
  await stopOperator();
  await startOperator();
  await order('acme', 'second', { password: FIRST });
  await holds(FIRST, 'second-secret');
  await lookAgain('db');
  await eventually('db is looked at', async () => {
    const { metadata, status } = await get('instance', 'db');
    return status.lastHandledReconcileAt === metadata.annotations['felucca.dev/reconcile-requested-at'];
  });
  expect(await urlIn()).toBe(`pg://u:${THIRD}@db`);
  // Nothing changed means nothing written, although the operator had forgotten all.
  expect((await get('secret', 'db-secret')).metadata.resourceVersion).toBe(resourceVersion);
});

// Invariant L36.
it('no trace of a value is anywhere but in the Secrets that are for it', async () => {
  const texts = new Map<string, string>();
  const kinds = await cluster.kubectl(['api-resources', '--verbs=list', '-o', 'name']);
  const all = await cluster.kubectl([
    'get',
    kinds.trim().split('\n').join(','),
    '-A',
    '-o',
    'json',
    '--show-managed-fields',
  ]);
  for (const object of JSON.parse(all).items) {
    const { kind, metadata } = object;
    texts.set(`${kind} ${metadata.namespace ?? ''}/${metadata.name}`, JSON.stringify(object));
  }
  for (const [table, text] of await everyTable(api.databaseUrl)) texts.set(table, text);
  texts.set('log of the API', api.log);
  texts.set('log of the operator', [...logs, operator.log()].join('\n'));
  texts.set('metrics of the API', await (await fetch(`${api.url}/metrics`)).text());
  texts.set('metrics of the operator', await metricsOf(operator));
  // So that it is known to look.
  expect(
    [...texts.keys()].filter((name) => /^(Event|Instance|Lease|Secret) /.test(name)).length,
  ).toBeGreaterThan(8);
  expect(texts.get('log of the operator')).toContain('row applied');
  expect(tracesOf([SECOND, TYPED], texts)).toEqual([]);
  expect(tracesOf([FIRST], texts)).toEqual(['Secret tenant-acme/second-secret']);
  for (const secret of [THIRD, made])
    expect(tracesOf([secret], texts)).toEqual(['Secret tenant-acme/db-secret']);
  expect(tracesOf([LOCAL], texts).sort()).toEqual([
    'Secret tenant-acme/given',
    'Secret tenant-acme/mine-secret',
  ]);
});
