import { describe, expect, test } from 'vitest';
import { desiredChild } from '../children/desired-child.ts';
import { planUpdate } from '../updates/plan-update.ts';
import { blueprintFixture } from './blueprint-fixture.ts';
import { compileBlueprint } from './compile.ts';
import { isUnknown } from './mark.ts';
import { checkParameterSchema } from './parameter-schema.ts';
import { checkParameters } from './parameters.ts';
import { plannedChildren } from './planned-children.ts';
import { renderChild } from './render.ts';
import { createScope } from './scope.ts';
import { isSealed, mapSensitive, sensitiveValues } from './sensitive.ts';

const sealed = (text: string) => ({ sealed: `eyJ${text}..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA` });
const REFERENCE = { secretRef: { name: 'mine', key: 'password' } };
const CANARY = 'canary-of-the-test';

const schema = {
  type: 'object',
  properties: {
    login: {
      type: 'object',
      properties: { name: { type: 'string' }, key: { type: 'string', sensitive: true } },
    },
    users: { type: 'array', items: { type: 'string', sensitive: true } },
    env: { type: 'object', additionalProperties: { type: 'string', sensitive: true } },
  },
};

describe('what is sensitive', () => {
  test('is found wherever the schema says so, and nowhere else', () => {
    const parameters = { login: { name: 'a', key: 'b' }, users: ['c'], env: { 'X/Y': 'd' } };
    expect(Object.fromEntries(sensitiveValues({ parameters: schema }, parameters))).toEqual({
      '/login/key': 'b',
      '/users/0': 'c',
      '/env/X~1Y': 'd',
    });
    expect(mapSensitive({ parameters: schema }, parameters, () => '*')).toEqual({
      login: { name: 'a', key: '*' },
      users: ['*'],
      env: { 'X/Y': '*' },
    });
  });

  test.each([
    ['the value, in a cluster', 'hidden', 'x', false],
    ['a sealed value, in a cluster', 'hidden', sealed('a'), true],
    ['a reference, in a cluster', 'hidden', REFERENCE, true],
    ['a sealed value with something beside it', 'hidden', { ...sealed('a'), more: 1 }, false],
    ['what only looks sealed', 'hidden', { sealed: 'x' }, false],
    ['the value, in the API', 'plain or sealed', 'x', true],
    ['a sealed value, in the API', 'plain or sealed', sealed('a'), true],
    ['a reference, in the API', 'plain or sealed', REFERENCE, false],
    ['a sealed value where only the value will do', 'plain', sealed('a'), false],
  ] as const)('may be %s: %s', (_, form, value, isAccepted) => {
    const problems = checkParameters({ parameters: schema }, { login: { key: value } }, form);
    expect(problems.map(({ path }) => path)).toEqual(isAccepted ? [] : ['/login/key']);
  });

  test.each(['hidden', 'plain or sealed', 'plain'] as const)(
    'stays the only place of a sealed value (%s)',
    (form) => {
      expect(checkParameters({ parameters: schema }, { login: { name: sealed('a') } }, form)).toMatchObject([
        { path: '/login/name', message: expect.stringContaining('a sensitive value') },
      ]);
    },
  );

  test.each([
    [{ login: CANARY }],
    [{ users: CANARY }],
    [{ users: { a: CANARY } }],
    [{ env: { a: { b: CANARY } } }],
    [{ login: { key: [CANARY] } }],
  ])('is never quoted, however wrong its place is: %j', (parameters) => {
    for (const form of ['plain', 'hidden', 'plain or sealed'] as const) {
      const problems = checkParameters({ parameters: schema }, parameters, form);
      expect(problems).toHaveLength(1);
      expect(JSON.stringify(problems)).not.toContain(CANARY);
    }
  });

  test('cannot be inside of what never changes', () => {
    const parameters = { ...schema, properties: { login: { ...schema.properties.login, immutable: true } } };
    expect(checkParameterSchema(parameters)).toMatchObject([
      { path: '/parameters/properties/login/properties/key/sensitive' },
    ]);
  });
});

const SECRET = {
  id: 'given',
  manifest: {
    apiVersion: 'v1',
    kind: 'Secret',
    stringData: { url: 'pg://u:${params.password}@${params.message}', plain: '${params.message}' },
  },
};
function withSecret(
  change: (node: { manifest: Record<string, unknown>; when?: string[] }) => void = () => undefined,
) {
  return compileBlueprint(
    blueprintFixture((spec) => {
      const node = structuredClone(SECRET);
      change(node);
      spec.nodes.push(node);
    }),
  );
}
const product = () => {
  const { compiled, problems } = withSecret();
  if (!compiled) throw new Error(JSON.stringify(problems));
  return compiled;
};
const instance = { name: 'shop', namespace: 'tenant-acme', organization: 'acme', uid: 'u1' };
const object = { apiVersion: 'felucca.dev/v1alpha1', kind: 'Instance', metadata: { ...instance } };

function made(kept: object, opened?: string) {
  const of = product();
  const parameters = { message: 'host', replicas: 1, settings: {}, password: kept };
  const scope = createScope(
    of,
    parameters,
    instance,
    {},
    opened === undefined ? undefined : { ...parameters, password: opened },
  );
  const child = plannedChildren(of, scope).find(({ name }) => name === 'shop-given');
  if (!child) throw new Error('no Secret');
  const rendered = renderChild(child, scope);
  if ('waitingFor' in rendered) throw new Error(rendered.waitingFor);
  const desired = desiredChild(rendered.object, child, object, rendered.marked);
  return { ...desired, data: (desired.object as unknown as { data: Record<string, string> }).data };
}
const decoded = (text = '') => Buffer.from(text, 'base64').toString();

describe('a Secret with a sensitive parameter', () => {
  test('holds the value where it is opened, and a mark where it is not', () => {
    expect(decoded(made(sealed('a'), CANARY).data['url'])).toBe(`pg://u:${CANARY}@host`);
    const unopened = made(sealed('a')).data;
    expect(isUnknown(unopened['url'])).toBe(true);
    expect(decoded(unopened['plain'])).toBe('host');
  });

  test('has a hash that says nothing of the value, and is another one as soon as another was sealed', () => {
    expect(made(sealed('a'), CANARY).hash).toBe(made(sealed('a'), 'another').hash);
    expect(made(sealed('a'), CANARY).hash).toBe(made(sealed('a')).hash);
    expect(made(sealed('b'), CANARY).hash).not.toBe(made(sealed('a'), CANARY).hash);
    // Which the operator extends by the version that it has read.
    expect(made(REFERENCE, CANARY).hash).not.toBe(made(sealed('a'), CANARY).hash);
  });

  test('changes in a plan when another value was sealed, and nothing else does', () => {
    const version = (password: object) => ({
      blueprint: product(),
      parameters: { message: 'host', replicas: 1, ratio: 1, storageGi: 1, settings: {}, password },
      suspend: false,
      deletionPolicy: 'Delete' as const,
    });
    const changes = planUpdate(instance, version(sealed('a')), version(sealed('b')));
    expect(changes.filter(({ effect }) => effect !== 'unchanged')).toMatchObject([
      { child: 'Secret/shop-given', effect: 'inPlace', fields: ['/data/url'], unknown: ['/data/url'] },
    ]);
  });

  test('tells of a failing expression without the value', () => {
    const { compiled: of, problems } = withSecret((node) => {
      node.manifest['stringData'] = { a: '${{"x": "y"}[params.password]}' };
    });
    if (!of) throw new Error(JSON.stringify(problems));
    const parameters = { message: 'host', settings: {}, password: sealed('a') };
    const scope = createScope(of, parameters, instance, {}, { ...parameters, password: CANARY });
    const child = plannedChildren(of, scope).find(({ name }) => name === 'shop-given');
    if (!child) throw new Error('no Secret');
    const failing = () => renderChild(child, scope);
    expect(failing).toThrow(/params.password.* failed with the value of a sensitive parameter/);
    expect(failing).not.toThrow(CANARY);
  });
});

const allowed = (change: Parameters<typeof withSecret>[0]) =>
  withSecret(change).problems.map(({ path }) => path);

describe('a Blueprint may read a sensitive parameter', () => {
  test.each<[string, Parameters<typeof withSecret>[0]]>([
    ['below data', (node) => (node.manifest['data'] = { a: '${params.password}' })],
    ['to ask whether it was given', (node) => (node.when = ['${has(params.password)}'])],
  ])('%s', (_, change) => {
    expect(allowed(change)).toEqual([]);
  });

  test.each<[string, Parameters<typeof withSecret>[0], string]>([
    ['in a condition', (node) => (node.when = ['${params.password == "x"}']), '/nodes/4/when/0'],
    [
      'in an annotation of a Secret',
      (node) => (node.manifest['metadata'] = { annotations: { a: '${params.password}' } }),
      '/nodes/4/manifest/metadata/annotations/a',
    ],
    [
      'as a key of a Secret',
      (node) => (node.manifest['stringData'] = '${{params.password: "x"}}'),
      '/nodes/4/manifest/stringData',
    ],
    [
      'together with another child',
      (node) => (node.manifest['stringData'] = { a: '${params.password + service.spec.clusterIP}' }),
      '/nodes/4/manifest/stringData/a',
    ],
  ])('but not %s', (_, change, path) => {
    expect(allowed(change)).toEqual([path]);
  });
});

test('a sealed value is told from everything else', () => {
  expect(isSealed(sealed('a'))).toBe(true);
  for (const other of ['x', null, {}, { sealed: 1 }, { sealed: 'eyJa.b.c.d.e' }, [sealed('a')]])
    expect(isSealed(other)).toBe(false);
});
