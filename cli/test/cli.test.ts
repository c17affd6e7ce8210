import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InstanceObject } from '@felucca/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { isOwned } from '../src/facts/ownership.ts';
import { readArchive } from './support/archive.ts';
import { capture, transcript } from './support/captured.ts';
import { expectGolden, masked } from './support/golden.ts';
import { bundle, kubectlPlugin } from './support/plugin.ts';
import { badDemo, demoBlueprint, eventually, instance, newerDemo, Stage, tenant } from './support/stage.ts';

let stage: Stage;
const folder = mkdtempSync(join(tmpdir(), 'felucca-cli-test-'));

const felucca = (...args: string[]) => capture({ kubeconfig: stage.kubeconfig }, args);
const seen = async (...args: string[]): Promise<string> => transcript(args, await felucca(...args));
const plugin = (...args: string[]) => kubectlPlugin(stage.kubeconfig, args);
/** Runs a command and compares all that it said with the golden file of this name. */
async function golden(name: string, ...args: string[]): Promise<void> {
  expectGolden(name, await seen(...args));
}

beforeAll(async () => {
  stage = await Stage.start(`cli-${process.pid}`);
  await stage.kubectl('create', 'namespace', 'tenant-taken');
  await stage.apply(
    demoBlueprint(),
    newerDemo(),
    badDemo(),
    tenant('acme'),
    tenant('globex'),
    tenant('small', { quota: { pods: 1, cpu: '5000' } }),
    tenant('taken'),
  );
  await stage.kubectl(
    'wait',
    'tenant/acme',
    'tenant/globex',
    'tenant/small',
    '--for=condition=Ready',
    '--timeout=60s',
  );
  await stage.kubectl('create', 'configmap', 'blocked-settings', '-n', 'tenant-globex');
  await stage.apply(
    instance('tenant-acme', 'fine'),
    instance('tenant-acme', 'gone'),
    instance('tenant-globex', 'fine'),
    instance('tenant-acme', 'stored', { storage: true, storageClass: 'fast' }),
    instance('tenant-acme', 'crashing'),
    instance('tenant-small', 'huge', { cpu: '2000' }),
    instance('tenant-acme', 'wrong', { replicas: 'many' }),
    instance('tenant-acme', 'lost', {}, { blueprintRef: { name: 'nothing', version: '1.0.0' } }),
    instance('tenant-globex', 'blocked'),
    instance('tenant-taken', 'early'),
    instance('tenant-acme', 'asleep', {}, { suspend: true }),
    instance('tenant-acme', 'drifted'),
    instance('default', 'stray'),
    instance('tenant-acme', 'unmade', {}, { blueprintRef: { name: 'demo', version: '0.1.0' } }),
  );
  await stage.until('tenant-acme', 'gone', 'AllChildrenReady');
  await stage.leaveStuck('tenant-acme', 'gone', 'configmap/gone-settings');
  await stage.crash('tenant-acme', 'crashing');
  await stage.until('tenant-acme', 'drifted', 'AllChildrenReady');
  await stage.kubectl(
    'patch',
    'configmap',
    'drifted-settings',
    '-n',
    'tenant-acme',
    '--type=merge',
    '-p',
    '{"data":{"message":"mutiny"}}',
  );
  await stage.until('tenant-acme', 'asleep', 'Suspended');
  await stage.kubectl(
    'patch',
    'configmap',
    'asleep-settings',
    '-n',
    'tenant-acme',
    '--type=merge',
    '-p',
    '{"data":{"greeting":"moin"}}',
  );
  await Promise.all([
    stage.until('tenant-acme', 'fine', 'AllChildrenReady'),
    stage.until('tenant-acme', 'crashing', 'ChildFailed'),
    stage.until('tenant-acme', 'stored', 'ChildFailed'),
    stage.until('tenant-small', 'huge', 'ChildFailed'),
    stage.until('tenant-acme', 'drifted', 'DriftReported', 'DriftDetected'),
    stage.until('tenant-globex', 'fine', 'AllChildrenReady'),
    stage.until('tenant-globex', 'blocked', 'NameConflict'),
    stage.until('tenant-taken', 'early', 'TenantNotReady'),
    stage.until('default', 'stray', 'TenantNotReady'),
    stage.until('tenant-acme', 'unmade', 'BlueprintInvalid'),
  ]);
  await stage.order(
    'initech',
    Array.from({ length: 7 }, (_, i) => `shop-${i}`),
  );
  // A second Instance of the small Tenant, when its quota of one pod is used up.
  await stage.apply(instance('tenant-small', 'refused'));
  await stage.until('tenant-small', 'refused', 'ChildFailed');
  await Promise.all([
    stage.untilWarned('tenant-small', 'refused', 'ChildFailed', 'FailedCreate'),
    stage.untilWarned('tenant-small', 'huge', 'FailedScheduling'),
    stage.untilWarned('tenant-acme', 'stored', 'FailedScheduling', 'ProvisioningFailed'),
  ]);
});
afterAll(async () => {
  await stage?.stop();
  rmSync(folder, { recursive: true });
});

describe('why', () => {
  test.each([
    ['ready', 'tenant-globex/fine'],
    ['crashing', 'crashing'],
    ['unschedulable', 'huge'],
    ['volume-missing', 'stored'],
    ['quota', 'refused'],
    ['blueprint-missing', 'lost'],
    ['parameters', 'wrong'],
    ['name-conflict', 'blocked'],
    ['tenant-not-ready', 'early'],
    ['outside-tenants', 'stray'],
    ['blueprint-invalid', 'unmade'],
    ['suspended', 'asleep'],
    ['drift', 'drifted'],
  ])('tells of an Instance that is %s', (name, which) => golden(`why-${name}`, 'why', which));

  test.each([
    ['good', 'demo-1-0-0'],
    ['bad', 'demo-0-1-0'],
    ['unknown', 'demo-9-0-0'],
  ])('tells of a Blueprint that is %s', (name, which) =>
    golden(`why-blueprint-is-${name}`, 'why', `blueprint/${which}`),
  );

  test.each([
    ['good', 'globex'],
    ['bad', 'taken'],
    ['unknown', 'nobody'],
  ])('tells of a Tenant that is %s', (name, which) =>
    golden(`why-tenant-is-${name}`, 'why', `tenant/${which}`),
  );

  test('gives the same as JSON', () => golden('why-json', 'why', 'refused', '-o', 'json'));
});

describe('tree', () => {
  test('shows a Tenant down to pods and volumes', () => golden('tree-tenant', 'tree', 'tenant/globex'));
  test('shows one Instance', () => golden('tree-instance', 'tree', 'stored'));
  test('marks drift', () => golden('tree-drift', 'tree', 'drifted'));
});

describe('events', () => {
  test('are merged, and repeats are one line', () =>
    golden('events', 'events', 'refused', '--types', 'Warning'));
});

describe('diff', () => {
  test('shows what differs, by whom, and what is done about it', () => golden('diff', 'diff', 'drifted'));
  test('of what is as desired is empty', () =>
    golden('diff-none', 'diff', 'tenant-globex/fine', '-o', 'wide'));
  test('of what only differs where the Blueprint leaves it alone is none', () =>
    golden('diff-left-alone', 'diff', 'asleep'));
  test('shows a name that is taken', () => golden('diff-conflict', 'diff', 'blocked'));
  test('says why nothing can be compared', () => golden('diff-parameters', 'diff', 'wrong'));
});

describe('diff tells what a change would do', () => {
  test.each([
    ['in-place', ['--with', 'parameters.replicas=3']],
    ['restart', ['--with', 'parameters.cpu=1', 'parameters.storage=true']],
    ['nothing', ['--with', 'parameters.replicas=1']],
    ['version', ['--blueprint-version', '1.1.0']],
    ['parameters', ['--with', 'parameters.replicas=many']],
    ['version-missing', ['--blueprint-version', '9.0.0']],
  ])('%s', (name, change) => golden(`preview-${name}`, 'diff', 'tenant-globex/fine', ...change));
  test('and does nothing', async () => {
    const { spec, metadata } = await stage.instance('tenant-globex', 'fine');
    expect([spec?.parameters, metadata.generation]).toEqual([{}, 1]);
  });
});

describe('what is applied here can be steered here', () => {
  test('reconcile waits until it is done', () => golden('reconcile', 'reconcile', 'tenant-globex/fine'));
  test('reconcile says when it is not well afterwards', () =>
    golden('reconcile-wrong', 'reconcile', 'wrong'));
  test('suspend and resume', async () => {
    await golden('suspend', 'suspend', 'tenant-globex/fine');
    await golden('suspend-again', 'suspend', 'tenant-globex/fine');
    await golden('resume', 'resume', 'tenant-globex/fine');
    expect((await stage.instance('tenant-globex', 'fine')).spec?.suspend).toBe(false);
  });
  test('suspend ends when the operator says that it cannot be', () =>
    golden('suspend-wrong', 'suspend', 'wrong'));
  test('orphan asks first', async () => {
    const args = ['orphan', 'asleep'];
    await golden('orphan-unasked', ...args);
    const no = await capture({ kubeconfig: stage.kubeconfig, answer: 'n' }, args);
    expectGolden('orphan-no', transcript(args, no));
    expect((await stage.instance('tenant-acme', 'asleep')).spec?.deletionPolicy).toBeUndefined();
    await golden('orphan-yes', ...args, '--yes');
    expect((await stage.instance('tenant-acme', 'asleep')).spec?.deletionPolicy).toBe('Orphan');
  });
});

describe('what a control plane owns', () => {
  test('is explained with its link', () => golden('why-controlled', 'why', 'shop-0'));
  test.each(['suspend', 'resume'])('cannot be changed here: %s names the request instead', (verb) =>
    golden(`controlled-${verb}`, verb, 'shop-0'),
  );
  test('nor orphaned', () => golden('controlled-orphan', 'orphan', 'shop-0', '--yes'));
  test('is told by the stamp, and before there is one by who wrote the annotation', async () => {
    const of = async (namespace: string, name: string): Promise<InstanceObject> => {
      const args = ['get', 'instance', name, '-n', namespace, '-o', 'json', '--show-managed-fields'];
      const { status: _, ...unstamped } = JSON.parse(await stage.kubectl(...args));
      return unstamped;
    };
    expect(isOwned(await of('tenant-initech', 'shop-0'))).toBe(true);
    const annotate = (value: string) =>
      stage.kubectl('annotate', 'instance', 'fine', '-n', 'tenant-acme', `felucca.dev/id${value}`);
    await annotate('=by-hand');
    expect(isOwned(await of('tenant-acme', 'fine'))).toBe(false);
    expect((await felucca('why', 'tenant-acme/fine')).stdout).toMatch(/^✓ sync +applied on this cluster/m);
    await annotate('-');
  });
  test('can be reconciled', () => golden('controlled-reconcile', 'reconcile', 'shop-0'));
});

describe('report', () => {
  test('is one file without secrets that says what it left out', async () => {
    const file = join(folder, 'report.tar.gz');
    const captured = await felucca('report', 'refused', '--file', file);
    const files = await readArchive(file);
    const listing = [...files.keys()]
      .toSorted()
      .map((path) => `${path}\n`)
      .join('');
    expectGolden(
      'report',
      transcript(['report', 'refused'], captured).replaceAll(folder, '<folder>') + masked(listing),
    );
    const secret = await stage.kubectl(
      'get',
      'secret',
      'refused-credentials',
      '-n',
      'tenant-small',
      '-o',
      'jsonpath={.data.password}',
    );
    const all = [...files.values()].join('\n');
    expect(all).not.toContain(secret);
    expect(all).not.toContain(Buffer.from(secret, 'base64').toString());
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const again = await felucca('report', 'refused', '--file', file);
    expect(again).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('exists already') });
  });

  test('without a name takes in all that are not Ready', async () => {
    const file = join(folder, 'all.tar.gz');
    await felucca('report', '-n', 'tenant-globex', '--file', file);
    const paths = [...(await readArchive(file)).keys()];
    expect(paths).toContainEqual(expect.stringMatching(/instances\/tenant-globex\/blocked\/why.txt$/));
    expect(paths).not.toContainEqual(expect.stringMatching(/instances\/tenant-globex\/fine/));
  });
});

describe('the bundle', () => {
  beforeAll(() => bundle());

  test('is a plugin of kubectl', async () => {
    const { stdout, code } = await plugin('felucca', 'why', 'refused', '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject({ instance: 'tenant-small/refused', ok: false });
    expect(code).toBe(1);
    const help = await plugin('felucca', 'why', '--help');
    expect(help.stdout).toMatch(/^Usage: kubectl felucca why/);
  });

  test('completes names of Instances for kubectl', async () => {
    const { stdout } = await plugin('__complete', 'felucca', 'why', '-n', 'tenant-small', '');
    expect(stdout).toBe('huge\nrefused\n:4\n');
  });

  test('writes data to stdout and nothing else', async () => {
    const { stdout, stderr } = await plugin('felucca', 'reconcile', 'tenant-globex/fine', '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'Instance', metadata: { name: 'fine' } });
    expect(stderr).not.toContain('Error');
    const status = await plugin('felucca', 'status', '-o', 'yaml');
    expect(status.stderr).toBe('');
    expect(parse(status.stdout).instances.length).toBeGreaterThan(10);
  });
});

describe('an error names the thing, the reason and the remedy', () => {
  test.each([
    ['unknown', ['why', 'nobody']],
    ['elsewhere', ['why', 'huge', '-n', 'tenant-acme']],
    ['ambiguous', ['why', 'fine']],
    ['name', ['why', 'a/b/c']],
    ['format', ['status', '-o', 'xml']],
    ['command', ['explain']],
    ['argument', ['why']],
    ['types', ['events', 'refused', '--types', 'Warning,Bogus']],
    ['selector', ['status', '-l', 'x===']],
    ['tenant', ['tree', 'tenant/nope']],
    ['both-namespaces', ['status', '-A', '-n', 'x']],
    ['context', ['status', '--context', 'nowhere']],
    ['kubeconfig', ['status', '--kubeconfig', '/nonexistent/config']],
    ['denied', ['status', '-n', 'tenant-acme', '--as', 'nobody']],
    ['denied-all', ['status', '--as', 'nobody']],
  ])('%s', (name, args) => golden(`error-${name}`, ...args));
});

describe('a user with the role view', () => {
  beforeAll(async () => {
    await stage.kubectl('create', 'clusterrolebinding', 'sre', '--clusterrole=view', '--user=sre');
    await stage.kubectl(
      'create',
      'rolebinding',
      'dev',
      '--clusterrole=view',
      '--user=dev',
      '-n',
      'tenant-globex',
    );
    await eventually(
      'the role is aggregated',
      async () => (await felucca('status', '--as', 'sre')).exitCode === 0,
    );
  });

  test('of the cluster sees everything but Secrets', () =>
    golden('view-cluster', 'why', 'tenant-globex/fine', '--as', 'sre'));
  test('of the cluster knows of no difference in what is hidden', () =>
    golden('view-diff', 'diff', 'tenant-globex/fine', '--as', 'sre'));
  test('is told which role it takes to write', () =>
    golden('view-reconcile', 'reconcile', 'tenant-globex/fine', '--as', 'sre'));
  test('of one namespace sees that namespace', async () => {
    for (const args of [['status'], ['tree'], ['why', 'fine'], ['events', 'fine', '--types', 'Warning']])
      await golden(`view-namespace-${args[0]}`, ...args, '-n', 'tenant-globex', '--as', 'dev');
  });
});

describe('deletion', () => {
  test('that is blocked names the object and what blocks it', async () => {
    await stage.until('tenant-acme', 'gone', 'ChildStillExists', 'DeletionBlocked');
    await golden('why-deletion-blocked', 'why', 'gone');
    await golden('tree-deletion', 'tree', 'gone');
  });

  test.each(['reconcile', 'suspend'])('is no time to %s', (verb) => golden(`${verb}-deletion`, verb, 'gone'));

  test('is held beyond the budget, until a person says so', async () => {
    const names = Array.from({ length: 7 }, (_, i) => `shop-${i}`);
    const held = await stage.deleteTooMany('initech', names);
    expect((await felucca('status', '-n', 'tenant-initech')).stdout).toMatch(
      /\n\d Instances?: \d held.*\n\nNAMESPACE .*\ntenant-initech +shop-\d .* True +DeletionHeld .* release or reject it/,
    );
    expectGolden('suspend-held', (await seen('suspend', held)).replace(/shop-\d/g, 'shop-<n>'));
    expectGolden(
      'why-deletion-held',
      (await seen('why', held, '-n', 'tenant-initech')).replace(/shop-\d/g, 'shop-<n>'),
    );
  });
});

describe('status', () => {
  test('puts what is not as it should be first', async () => {
    expectGolden(
      'status',
      (await seen('status')).replace(/^tenant-initech.*\n/gm, '').replace(/\d+ Instances: .*/, '<count>'),
    );
  });
  test('knows one namespace, more columns, names only', async () => {
    await golden('status-wide', 'status', '-n', 'tenant-globex', '-o', 'wide');
    await golden('status-name', 'status', '-n', 'tenant-globex', '-o', 'name');
  });
  test('of an empty namespace says so', () => golden('status-empty', 'status', '-n', 'kube-public'));
});

describe('a Secret with a generated value', () => {
  test('that is gone was lost, before the operator has looked', async () => {
    await stage.kubectl('delete', 'secret', 'fine-credentials', '-n', 'tenant-globex');
    await golden('why-secret-lost', 'why', 'tenant-globex/fine');
  });
});

describe('the way out of a state that is broken', () => {
  const change = (spec: object) =>
    stage.kubectl(
      'patch',
      'instance',
      'stored',
      '-n',
      'tenant-acme',
      '--type=merge',
      '-p',
      JSON.stringify({ spec }),
    );

  test('is previewed: the old value of a field that cannot change, from a version that is wrong, too', async () => {
    await change({ parameters: { storageClass: 'slow' } });
    await stage.until('tenant-acme', 'stored', 'ChangeImpossible');
    await golden('preview-way-back', 'diff', 'stored', '--with', 'parameters.storageClass=fast');
    await change({ blueprintRef: { version: '0.1.0' } });
    await stage.until('tenant-acme', 'stored', 'BlueprintInvalid');
    await golden('preview-impossible', 'diff', 'stored', '--blueprint-version', '1.1.0');
    await golden(
      'preview-way-out',
      'diff',
      'stored',
      '--blueprint-version',
      '1.0.0',
      '--with',
      'parameters.storageClass=fast',
    );
  });
});

describe('without an operator', () => {
  beforeAll(() => stage.stack.operator.stop());

  test('that is what is wrong with everything', async () => {
    await golden('why-no-operator', 'why', 'fine', '-n', 'tenant-acme');
    await golden('why-no-operator-also', 'why', 'crashing');
    await golden('reconcile-no-operator', 'reconcile', 'tenant-globex/fine');
    const { stdout } = await felucca('status');
    expect(stdout).toMatch(/no operator leads/);
    expect(stdout).toMatch(/^Link +last known: connected, told \d+s ago/m);
  });
});
