import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, definitionsEstablished, startCluster, waitUntil } from '../src/index.ts';
import { chartPath, helm, NAMESPACE, type Rule } from './helm.ts';
import { RIGHTS } from './operator-rights.ts';

// The policies of the operator's chart on a real API server. Each test shows what is refused and what is not;
// refusals go first, because a policy takes effect a moment after it was installed.
let cluster: Cluster;
let asOperator: readonly string[];
let asSomebodyElse: readonly string[];
beforeAll(async () => {
  cluster = await startCluster({ name: `test-admission-${process.pid}`, provider: 'bare' });
  await helm(
    [
      ...[
        'install',
        'felucca',
        chartPath('felucca-operator'),
        '--namespace',
        NAMESPACE,
        '--create-namespace',
      ],
      ...['--wait=hookOnly', '--set', 'deployment.enabled=false'],
    ],
    cluster.kubeconfigPath,
  );
  await definitionsEstablished(cluster);
  const token = (await cluster.kubectl(['create', 'token', 'felucca-operator', '-n', NAMESPACE])).trim();
  asOperator = [`--token=${token}`];
  asSomebodyElse = [];
});
afterAll(() => cluster?.stop());

const apply = (who: readonly string[], yaml: string, ...flags: string[]) =>
  cluster.kubectl([...who, 'apply', '--server-side', '--force-conflicts', ...flags, '-f', '-'], {
    stdin: yaml,
  });

/** Until the policy says no, with its own words. */
const expectRefused = (what: string, attempt: () => Promise<string>, why: RegExp) =>
  waitUntil(
    `${what} to be refused`,
    async () => {
      const message = await attempt().then(
        () => 'it was allowed',
        (error: Error) => error.message,
      );
      if (!why.test(message)) throw new Error(message);
      return true;
    },
    { timeoutMs: 20_000 },
  );

const namespace = (name: string, label?: string, podSecurity = 'restricted'): string =>
  `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ${name}\n${label === undefined ? '' : `  labels: {felucca.dev/tenant: ${label}, pod-security.kubernetes.io/enforce: ${podSecurity}}\n`}`;

const binding = (
  in_: string,
  options: { role?: string; account?: string; accountNamespace?: string } = {},
) => `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: felucca-operator, namespace: ${in_}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: ${options.role ?? 'felucca-operator-tenant'}}
subjects:
  - kind: ServiceAccount
    name: ${options.account ?? 'felucca-operator'}
    namespace: ${options.accountNamespace ?? NAMESPACE}
`;

const tenant = (name: string, term?: number, cpu = '1') => `
apiVersion: felucca.dev/v1alpha1
kind: Tenant
metadata: {name: ${name}${term === undefined ? '' : `, annotations: {felucca.dev/term: "felucca-operator/${term}"}`}}
spec: {quota: {cpu: "${cpu}"}}
`;

describe('namespaces', () => {
  test('the operator makes tenant-<name> with its label, and no other', async () => {
    const dryRun = (yaml: string) => () => apply(asOperator, yaml, '--dry-run=server');
    const why = /only namespaces called tenant-<name>/;
    await expectRefused('a namespace with another name', dryRun(namespace('other', 'other')), why);
    await expectRefused('a label that names another tenant', dryRun(namespace('tenant-a', 'b')), why);
    await expectRefused('a namespace without the label', dryRun(namespace('tenant-a')), why);
    const weak = namespace('tenant-made', 'made', 'privileged');
    await expectRefused('weaker pods', dryRun(weak), /pod security standard "restricted" only/);
    await apply(asOperator, namespace('tenant-made', 'made'));
  });

  test("the operator neither takes over, changes nor deletes somebody else's namespace", async () => {
    await cluster.kubectl(['create', 'namespace', 'tenant-taken']);
    const why = /only namespaces called tenant-<name>/;
    await expectRefused('labelling it', () => apply(asOperator, namespace('tenant-taken', 'taken')), why);
    await expectRefused(
      'deleting it',
      () => cluster.kubectl([...asOperator, 'delete', 'ns', 'tenant-taken', '--wait=false']),
      why,
    );
    await expectRefused(
      'deleting its home',
      () => cluster.kubectl([...asOperator, 'delete', 'ns', NAMESPACE, '--dry-run=server']),
      why,
    );
  });

  test('the operator deletes its own, and the namespace controller finishes it', async () => {
    await apply(asOperator, namespace('tenant-leaving', 'leaving'));
    await cluster.kubectl([...asOperator, 'delete', 'ns', 'tenant-leaving', '--wait=false']);
    await cluster.kubectl(['wait', '--for=delete', 'ns/tenant-leaving', '--timeout=30s']);
  });

  test('nobody else can make a namespace look like a tenant', async () => {
    const why = /only the operator sets the label/;
    await cluster.kubectl(['create', 'namespace', 'tenant-fake']);
    await expectRefused(
      'a label',
      () => cluster.kubectl(['label', 'ns', 'tenant-fake', 'felucca.dev/tenant=fake']),
      why,
    );
    await expectRefused(
      'a new one',
      () => apply(asSomebodyElse, namespace('tenant-new', 'new'), '--dry-run=server'),
      why,
    );
    await cluster.kubectl(['label', 'ns', 'tenant-fake', 'team=a']);
  });
});

describe('role bindings', () => {
  beforeAll(() => apply(asOperator, namespace('tenant-bound', 'bound')));

  test('the operator binds its tenant role, to itself, in a namespace of a tenant, and nothing else', async () => {
    const attempt = (yaml: string) => () => apply(asOperator, yaml, '--dry-run=server');
    await expectRefused(
      'a binding in default',
      attempt(binding('default')),
      /only in a namespace with the label/,
    );
    await expectRefused(
      'a binding in kube-system',
      attempt(binding('kube-system')),
      /only in a namespace with the label/,
    );
    await expectRefused(
      'a binding for another account',
      attempt(binding('tenant-bound', { account: 'default', accountNamespace: 'tenant-bound' })),
      /only to its own ServiceAccount/,
    );
    // The operator holds every right of this role, so RBAC alone would allow it.
    await expectRefused(
      'another role',
      attempt(binding('tenant-bound', { role: 'felucca-operator' })),
      /only ClusterRole felucca-operator-tenant/,
    );
    await apply(asOperator, binding('tenant-bound'));
  });

  test('the binding gives Secrets by name and workloads there, and no list of Secrets', async () => {
    const canI = (...question: string[]) =>
      cluster.kubectl([...asOperator, 'auth', 'can-i', ...question, '-n', 'tenant-bound']).then(
        () => true,
        () => false,
      );
    await waitUntil(
      'the binding to count',
      async () => {
        if (!(await canI('get', 'secrets'))) throw new Error('not yet');
        return true;
      },
      { timeoutMs: 10_000 },
    );
    expect(await canI('patch', 'statefulsets.apps')).toBe(true);
    expect(await canI('create', 'serviceaccounts/felucca-workload')).toBe(true);
    expect(await canI('create', 'serviceaccounts')).toBe(false);
    expect(await canI('list', 'secrets')).toBe(false);
    expect(await canI('create', 'pods')).toBe(false);
  });
});

/** What the API server itself says that the operator may do: `resource.group [name]: verbs`, without what everybody may. */
async function rightsIn(in_: string): Promise<string[]> {
  const rules = async (who: readonly string[]): Promise<string[]> => {
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectRulesReview',
      spec: { namespace: in_ },
    };
    const path = '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews';
    const text = await cluster.kubectl([...who, 'create', '--raw', path, '-f', '-'], {
      stdin: JSON.stringify(review),
    });
    const { resourceRules } = JSON.parse(text).status as { resourceRules: Rule[] };
    return resourceRules.flatMap(({ apiGroups, resources, resourceNames = [], verbs }) =>
      apiGroups.flatMap((group) =>
        resources.map((resource) => {
          const name = resourceNames.length > 0 ? ` [${resourceNames.join(', ')}]` : '';
          return `${resource}${group ? `.${group}` : ''}${name}: ${[...verbs].sort().join(', ')}`;
        }),
      ),
    );
  };
  const everybodys = await rules(['--as=somebody', '--as-group=system:authenticated']);
  return (await rules(asOperator)).filter((rule) => !everybodys.includes(rule)).sort();
}

describe('rights', () => {
  test('what the operator may do anywhere, at home and for a tenant, is exactly this', async () => {
    await apply(asOperator, namespace('tenant-rights', 'rights'));
    await apply(asOperator, binding('tenant-rights'));
    const anywhere = await rightsIn('default');
    expect(anywhere).toEqual(RIGHTS.anywhere);
    const more = async (in_: string) => (await rightsIn(in_)).filter((rule) => !anywhere.includes(rule));
    expect(await more(NAMESPACE)).toEqual(RIGHTS.atHome);
    expect(await more('tenant-rights')).toEqual(RIGHTS.forATenant);
  });
});

describe('status and finalizer', () => {
  const patch = (who: readonly string[], name: string, body: object, ...flags: string[]) =>
    cluster.kubectl([...who, 'patch', 'tenant', name, '--type=merge', '-p', JSON.stringify(body), ...flags]);

  test('only the operator writes status, not even cluster admins', async () => {
    await apply(asSomebodyElse, tenant('status-owner'));
    const body = { status: { observedGeneration: 1, namespace: 'forged' } };
    await expectRefused(
      'a status by an admin',
      () => patch(asSomebodyElse, 'status-owner', body, '--subresource=status'),
      /only the Felucca operator writes status/,
    );
    await patch(asOperator, 'status-owner', body, '--subresource=status');
    // The spec stays everybody's who has RBAC.
    await apply(asSomebodyElse, tenant('status-owner', undefined, '2'));
  });

  test('only the operator sets and removes its finalizer; deleting works for whoever may', async () => {
    await apply(asSomebodyElse, tenant('finalized'));
    const finalizers = (...list: string[]) => ({ metadata: { finalizers: list } });
    const why = /only the Felucca operator sets and removes the finalizer/;
    await expectRefused(
      'adding it',
      () => patch(asSomebodyElse, 'finalized', finalizers('felucca.dev/cleanup')),
      why,
    );
    await patch(asOperator, 'finalized', finalizers('felucca.dev/cleanup'));
    await cluster.kubectl(['delete', 'tenant', 'finalized', '--wait=false']);
    await expectRefused('removing it', () => patch(asSomebodyElse, 'finalized', finalizers()), why);
    await patch(asOperator, 'finalized', finalizers());
    await cluster.kubectl(['wait', '--for=delete', 'tenant/finalized', '--timeout=20s']);
  });

  test("the garbage collector's own finalizer is not ours to guard", async () => {
    await apply(asSomebodyElse, tenant('foreground'));
    await cluster.kubectl(['delete', 'tenant', 'foreground', '--cascade=foreground', '--wait=false']);
    // What the collector itself does, without waiting for its next look at the new kinds.
    const collector = ['--as=system:serviceaccount:kube-system:generic-garbage-collector'];
    await patch(collector, 'foreground', { metadata: { finalizers: null } }).catch((error: Error) => {
      // It has looked meanwhile.
      if (!/NotFound/.test(error.message)) throw error;
    });
    await cluster.kubectl(['wait', '--for=delete', 'tenant/foreground', '--timeout=20s']);
  });

  test('a namespace with Instances in it can be deleted', async () => {
    await cluster.kubectl(['create', 'namespace', 'plain']);
    const instance = `
apiVersion: felucca.dev/v1alpha1
kind: Instance
metadata: {name: site, namespace: plain}
spec: {blueprintRef: {name: web, version: 1.0.0}}
`;
    await apply(asSomebodyElse, instance);
    await cluster.kubectl(['delete', 'namespace', 'plain', '--timeout=40s']);
  });
});

describe('deletion', () => {
  const remove = (...what: string[]) => cluster.kubectl(['delete', ...what, '--wait=false']);
  const confirm = (...what: string[]) =>
    cluster.kubectl(['annotate', ...what, 'felucca.dev/allow-deletion=alice']);
  /** As the sync marks what the control plane sent. */
  const stamped = (kind: string, name: string) => {
    const desired = { id: 'o1', generation: 1, digest: `sha256:${'0'.repeat(64)}`, kid: 'k', signature: 's' };
    const stamp = JSON.stringify({ status: { observedGeneration: 1, desired } });
    const patch = ['patch', kind, name, '--subresource=status', '--type=merge', '-p', stamp];
    return cluster.kubectl([...asOperator, ...patch]);
  };

  test('what the control plane owns is not deleted by hand, unless somebody says so first', async () => {
    await apply(asSomebodyElse, tenant('local'));
    await apply(asSomebodyElse, tenant('ordered'));
    await stamped('tenant', 'ordered');
    const why = /delete it through the API.*felucca\.dev\/allow-deletion/;
    await expectRefused('deleting it', () => remove('tenant', 'ordered'), why);
    await expectRefused('deleting all', () => remove('tenants', '--all', '--dry-run=server'), why);
    await remove('tenant', 'local');
    await confirm('tenant', 'ordered');
    await remove('tenant', 'ordered');
  });

  test('a volume of an Instance is not deleted by hand, unless somebody says so first', async () => {
    const claim = (name: string, labels: object) =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name, namespace: 'default', labels },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
      });
    await apply(asSomebodyElse, claim('data', { 'felucca.dev/instance-uid': 'u1' }));
    await apply(asSomebodyElse, claim('own', {}));
    const why = /its deletion cannot be taken back.*felucca\.dev\/allow-deletion/;
    await expectRefused('deleting it', () => remove('pvc', 'data', '-n', 'default'), why);
    await remove('pvc', 'own', '-n', 'default');
    await confirm('pvc', 'data', '-n', 'default');
    await remove('pvc', 'data', '-n', 'default');
  });

  test('a Blueprint that the control plane sent is not deleted by hand, unless somebody says so first', async () => {
    const text = await readFile(
      new URL('../../crds/examples/valid/blueprint-web.yaml', import.meta.url),
      'utf8',
    );
    const [local, sent] = ['web-1-0-0', 'kept-1-0-0'];
    await apply(asSomebodyElse, text);
    await apply(
      asSomebodyElse,
      text.replace(`name: ${local}`, `name: ${sent}`).replace('name: web\n', 'name: kept\n'),
    );
    await stamped('blueprint', sent);
    const why = /no Instance of it is looked after.*felucca\.dev\/allow-deletion/;
    await expectRefused('deleting it', () => remove('blueprint', sent), why);
    await remove('blueprint', local);
    await confirm('blueprint', sent);
    await remove('blueprint', sent);
  });

  test("a tenant's namespace is not deleted by hand, unless somebody says so first", async () => {
    await apply(asOperator, namespace('tenant-full', 'full'));
    const why = /holds what a tenant ordered.*felucca\.dev\/allow-deletion/;
    await expectRefused('deleting it', () => remove('namespace', 'tenant-full'), why);
    await confirm('namespace', 'tenant-full');
    await remove('namespace', 'tenant-full');
    await cluster.kubectl(['wait', '--for=delete', 'ns/tenant-full', '--timeout=30s']);
  });

  test('a definition, and with it everything that was ordered, is not deleted by hand, unless somebody says so first', async () => {
    const why = /everything that tenants ordered.*felucca\.dev\/allow-deletion/;
    const blueprints = ['crd', 'blueprints.felucca.dev'];
    await expectRefused('deleting it', () => remove(...blueprints), why);
    await expectRefused('deleting all', () => remove('crds', '--all', '--dry-run=server'), why);
    await confirm(...blueprints);
    await remove(...blueprints, '--dry-run=server');
    await cluster.kubectl(['annotate', ...blueprints, 'felucca.dev/allow-deletion-']);
  });

  test('the operator deletes what a tombstone names', async () => {
    await apply(asOperator, namespace('tenant-ended', 'ended'));
    await cluster.kubectl([...asOperator, 'delete', 'ns', 'tenant-ended', '--wait=false']);
    await cluster.kubectl(['wait', '--for=delete', 'ns/tenant-ended', '--timeout=30s']);
  });
});

describe('fencing', () => {
  const lease = (transitions: number, holder = `operator-${transitions}_x`, shard = '') => `
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata:
  name: felucca-operator${shard && `-${shard}-of-2`}
  namespace: ${NAMESPACE}
  labels: {felucca.dev/lease: felucca-operator, felucca.dev/shard: "${shard || 0}"}
spec: {holderIdentity: ${holder}, leaseTransitions: ${transitions}}
`;
  const sync = (yaml: string, ...flags: string[]) =>
    apply(asOperator, yaml, '--field-manager=felucca-sync', ...flags);
  const patch = (body: object, ...flags: string[]) =>
    cluster.kubectl([
      ...asOperator,
      ...['patch', 'tenant', 'fenced', '--type=merge', '-p', JSON.stringify(body)],
      ...flags,
    ]);
  const status = (term?: string) => ({ status: { observedGeneration: 1, ...(term ? { term } : {}) } });
  const lost = /this operator lost its lease: it wrote with felucca-operator\/3, the lease is at 4/;

  test('without a lease the first write passes', async () => {
    await sync(tenant('fenced', 0));
  });

  test('after a change of leader nothing of the old one is let through, and everything of the new one', async () => {
    await sync(tenant('fenced', 3));
    await patch(status('felucca-operator/3'), '--subresource=status');
    await apply(asOperator, lease(4));
    const dryRun = '--dry-run=server';
    await expectRefused('a change', () => sync(tenant('fenced', 3, '5'), dryRun), lost);
    await expectRefused('a new object', () => sync(tenant('late', 3), dryRun), lost);
    await expectRefused('a patch', () => patch({ metadata: { finalizers: [] } }, dryRun), lost);
    await expectRefused('a status', () => patch(status(), '--subresource=status', dryRun), lost);
    await sync(tenant('fenced', 4, '5'));
    await patch(status('felucca-operator/4'), '--subresource=status');
    await expectRefused('going back', () => sync(tenant('fenced', 3, '1'), dryRun), lost);
  });

  test('what the operator makes for a tenant is fenced too', async () => {
    const stamped = (yaml: string, term: number) =>
      yaml.replace('metadata:', `metadata:\n  annotations: {felucca.dev/term: felucca-operator/${term}}`);
    const late = stamped(namespace('tenant-fenced', 'fenced'), 3);
    await expectRefused('its namespace', () => apply(asOperator, late), lost);
    await apply(asOperator, stamped(namespace('tenant-fenced', 'fenced'), 4));
    const bound = binding('tenant-fenced').replace(
      'metadata: {',
      'metadata: {annotations: {felucca.dev/term: felucca-operator/4}, ',
    );
    await apply(asOperator, bound);
    const child = `
apiVersion: v1
kind: ConfigMap
metadata:
  name: child
  namespace: tenant-fenced
  labels: {felucca.dev/instance: db, felucca.dev/instance-uid: u1}
  ownerReferences: [{apiVersion: felucca.dev/v1alpha1, kind: Instance, name: db, uid: u1}]
`;
    await expectRefused('a child', () => apply(asOperator, stamped(child, 3), '--dry-run=server'), lost);
    await apply(asOperator, stamped(child, 4));
  });

  const tokens = { a: '', b: '' };
  test('a deletion is let through only for the pod that holds the lease', async () => {
    const tokenOf = async (pod: string): Promise<string> => {
      const spec = {
        serviceAccountName: 'felucca-operator',
        containers: [{ name: 'operator', image: 'none' }],
      };
      const object = { apiVersion: 'v1', kind: 'Pod', metadata: { name: pod, namespace: NAMESPACE }, spec };
      await cluster.kubectl(['create', '-f', '-'], { stdin: JSON.stringify(object) });
      const bound = ['--bound-object-kind=Pod', `--bound-object-name=${pod}`];
      return (
        await cluster.kubectl(['create', 'token', 'felucca-operator', '-n', NAMESPACE, ...bound])
      ).trim();
    };
    const remove = (token: string) =>
      cluster.kubectl([`--token=${token}`, 'delete', 'tenant', 'fenced', '--dry-run=server']);
    const [a, b] = [await tokenOf('a'), await tokenOf('b')];
    Object.assign(tokens, { a, b });
    await apply(asOperator, lease(5, 'b_9f'));
    await expectRefused(
      'of another pod',
      () => remove(a),
      /lost its lease: a may not delete, .* held by b_9f/,
    );
    await remove(b);
    await apply(asOperator, lease(5, 'a_9f'));
    await expectRefused('of the pod before', () => remove(b), /lost its lease: b may not delete/);
    await remove(a);
  });

  test('with shards each write is judged by its own lease, and a child is deleted by who holds the lease of it', async () => {
    await apply(asOperator, lease(8, 'b_9f', '1'));
    const write = (stamp: string) =>
      sync(tenant('fenced', 0).replace('felucca-operator/0', stamp), '--dry-run=server');
    await expectRefused('an old term', () => write('felucca-operator-1-of-2/7'), /at 8/);
    await write('felucca-operator-1-of-2/8');
    const child = `
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, namespace: tenant-fenced, annotations: {felucca.dev/term: felucca-operator/4}}
`;
    await apply(asSomebodyElse, child);
    const remove = (token: string) =>
      cluster.kubectl([
        `--token=${token}`,
        'delete',
        'cm',
        'kept',
        '-n',
        'tenant-fenced',
        '--dry-run=server',
      ]);
    await expectRefused("a child of a's lease", () => remove(tokens.b), /b may not delete/);
    await remove(tokens.a);
  });

  test('a write without a term, of another lease, or with one that is no number is refused', async () => {
    const why = /writes only with the term of its lease, this write has "/;
    await expectRefused('none', () => sync(tenant('unstamped'), '--dry-run=server'), why);
    for (const stamp of ['felucca-operator/soon', 'other/9', '9']) {
      const yaml = tenant('fenced', 9).replace('felucca-operator/9', stamp);
      await expectRefused(stamp, () => sync(yaml, '--dry-run=server'), why);
    }
  });

  test('people who apply an object are not fenced', async () => {
    await apply(asSomebodyElse, tenant('by-hand', 0));
  });
});
