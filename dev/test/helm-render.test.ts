import { describe, expect, test } from 'vitest';
import {
  type ChartName,
  chartPath,
  helm,
  REQUIRED,
  type Rule,
  render,
  setFlags,
  VALUE_SETS,
} from './helm.ts';

const charts = Object.keys(VALUE_SETS) as ChartName[];

describe.each(charts)('%s', (chart) => {
  test.each(Object.entries(VALUE_SETS[chart]))('lints and renders: %s', async (_name, values) => {
    const flags = setFlags([...REQUIRED[chart], ...values]);
    await helm(['lint', '--strict', chartPath(chart), ...flags]);
    const manifests = await render(chart, values);
    for (const { kind, metadata } of manifests)
      expect(metadata.name, `${kind} without a name`).toMatch(/^[a-z0-9.-]+$/);
  });

  test.each(['replica=2', 'image.tga=x', 'logLevel=loud', 'replicas=two', 'image.digest=latest'])(
    'a wrong value is refused with its name: %s',
    async (value) => {
      const key = value.split('=')[0]!.split('.').at(-1)!;
      await expect(render(chart, [value])).rejects.toThrow(key);
    },
  );

  test('its pods run with restricted rights and bounded memory', async () => {
    const deployment = (await render(chart, [])).find(({ kind }) => kind === 'Deployment');
    expect(deployment).toMatchObject({
      spec: {
        template: {
          spec: {
            securityContext: {
              runAsNonRoot: true,
              runAsUser: 65532,
              seccompProfile: { type: 'RuntimeDefault' },
            },
            containers: [
              {
                securityContext: {
                  allowPrivilegeEscalation: false,
                  readOnlyRootFilesystem: true,
                  capabilities: { drop: ['ALL'] },
                },
                resources: { limits: { memory: '512Mi' } },
                livenessProbe: { httpGet: { path: '/healthz' } },
                readinessProbe: { httpGet: { path: '/readyz' } },
              },
            ],
          },
        },
      },
    });
  });

  test('a disruption budget exists only with more than one replica', async () => {
    const budgets = async (values: string[]) =>
      (await render(chart, values)).filter(({ kind }) => kind === 'PodDisruptionBudget').length;
    expect(await budgets([])).toBe(0);
    expect(await budgets(['replicas=2'])).toBe(1);
  });
});

describe('rights', () => {
  const rules = async (): Promise<(Rule & { of: string })[]> =>
    (await render('felucca-operator', [])).flatMap(({ kind, metadata, rules: list = [] }) =>
      list.map((rule) => ({ ...rule, of: `${kind}/${metadata.name}` })),
    );

  test('no rule has a wildcard, escalate, impersonate or a bind without a name', async () => {
    const all = await rules();
    expect(all.length).toBeGreaterThan(20);
    for (const rule of all) {
      const words = [...rule.apiGroups, ...rule.resources, ...rule.verbs];
      expect(words, rule.of).not.toContain('*');
      expect(rule.verbs, rule.of).not.toEqual(expect.arrayContaining(['escalate']));
      expect(rule.verbs, rule.of).not.toEqual(expect.arrayContaining(['impersonate']));
      if (rule.verbs.includes('bind')) expect(rule.resourceNames).toEqual(['felucca-operator-tenant']);
    }
  });

  test('Secrets: none cluster-wide, one by name at home, never a list or a watch', async () => {
    const secrets = (await rules()).filter(({ resources }) => resources.includes('secrets'));
    expect(secrets.map(({ of }) => of).sort()).toEqual([
      'ClusterRole/felucca-operator-tenant',
      'Role/felucca-operator',
      'Role/felucca-operator',
    ]);
    for (const { verbs } of secrets)
      expect(verbs.filter((verb) => ['list', 'watch', 'deletecollection'].includes(verb))).toEqual([]);
  });

  test('the tenant role is bound nowhere by the chart itself', async () => {
    const bindings = (await render('felucca-operator', [])).filter(({ kind }) =>
      kind.endsWith('RoleBinding'),
    );
    expect(bindings).toHaveLength(2);
    expect(JSON.stringify(bindings)).not.toContain('felucca-operator-tenant');
  });

  test('the API has no token: it never calls Kubernetes', async () => {
    const manifests = await render('felucca-control-plane', []);
    expect(manifests.find(({ kind }) => kind === 'ServiceAccount')).toMatchObject({
      automountServiceAccountToken: false,
    });
    expect(manifests.filter(({ kind }) => kind.includes('Role'))).toEqual([]);
  });
});

describe('choices', () => {
  test('without a deployment nothing runs and no token is stored', async () => {
    const kinds = new Set(
      (await render('felucca-operator', ['deployment.enabled=false', 'joinToken=fj_a_b'])).map(
        ({ kind }) => kind,
      ),
    );
    for (const kind of ['Deployment', 'Service', 'Secret', 'ConfigMap']) expect(kinds).not.toContain(kind);
    for (const kind of ['CustomResourceDefinition', 'ClusterRole', 'ServiceAccount'])
      expect(kinds).toContain(kind);
  });

  test('definitions outlive the release unless told otherwise', async () => {
    const policies = async (values: string[]) =>
      (await render('felucca-operator', values))
        .filter(({ kind }) => kind === 'CustomResourceDefinition')
        .map(({ metadata }) => metadata.annotations?.['helm.sh/resource-policy']);
    expect(await policies([])).toEqual(['keep', 'keep', 'keep', 'keep']);
    expect(new Set(await policies(['crds.keep=false']))).toEqual(new Set([undefined]));
  });

  test('a control plane without a database or without keys says what is missing', async () => {
    await expect(render('felucca-control-plane', ['database.secretName='])).rejects.toThrow(
      /database.secretName is required/,
    );
    await expect(render('felucca-control-plane', ['keys.secretName='])).rejects.toThrow(
      /exactly one of keys/,
    );
  });

  test('two join tokens are one too many', async () => {
    const values = ['joinToken=fj_a_b', 'joinTokenSecretRef.name=x', 'joinTokenSecretRef.key=y'];
    await expect(render('felucca-operator', values)).rejects.toThrow(
      /either joinToken or joinTokenSecretRef/,
    );
  });
});
