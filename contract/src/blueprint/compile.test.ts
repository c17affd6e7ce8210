import { describe, expect, test } from 'vitest';
import { blueprintFixture } from './blueprint-fixture.ts';
import { checkBlueprint } from './check-types.ts';
import { compileBlueprint } from './compile.ts';

// biome-ignore lint/suspicious/noExplicitAny: the table breaks fields that a typed Blueprint could not express
type Loose = any;
const pod = (spec: Loose): Loose => spec.nodes[2].manifest.spec.template.spec;

describe('a Blueprint', () => {
  test('that is sound has no problems', () => {
    expect(checkBlueprint(blueprintFixture())).toEqual([]);
  });

  test('applies nodes after the ones whose fields they read', () => {
    const waves = compileBlueprint(blueprintFixture()).compiled?.nodes.map((item) => [
      item.node.id,
      item.wave,
    ]);
    expect(waves).toEqual([
      ['config', 0],
      ['credentials', 0],
      ['service', 0],
      ['web', 1],
    ]);
  });

  const manifest = '/nodes/2/manifest';
  const template = `${manifest}/spec/template/spec`;
  const container = `${template}/containers/0`;
  const cases: [name: string, change: (spec: Loose) => void, path: string, message: RegExp][] = [
    [
      'an unknown parameter',
      (s) => (s.nodes[0].manifest.data.m = '${params.nope}'),
      '/nodes/0/manifest/data/m',
      /nope/,
    ],
    [
      'an unknown node',
      (s) => (s.nodes[0].manifest.data.m = '${other.spec.x}'),
      '/nodes/0/manifest/data/m',
      /other/,
    ],
    ['a syntax error', (s) => (s.nodes[0].manifest.data.m = '${1 +}'), '/nodes/0/manifest/data/m', /1 \+/],
    [
      'an open expression',
      (s) => (s.nodes[0].manifest.data.m = '${params.message'),
      '/nodes/0/manifest/data/m',
      /never closed/,
    ],
    [
      'a type error',
      (s) => (s.nodes[0].manifest.data.m = '${params.message + 1}'),
      '/nodes/0/manifest/data/m',
      /string \+ int/,
    ],
    [
      'a map inside a text',
      (s) => (s.nodes[0].manifest.data.m = 'x ${params.settings}'),
      '/nodes/0/manifest/data/m',
      /map<string, string>/,
    ],
    [
      'a function outside the list',
      (s) => (s.nodes[0].manifest.data.m = '${string(params.message.matches("(a+)+$"))}'),
      '/nodes/0/manifest/data/m',
      /"matches" is not available/,
    ],
    [
      'deeply nested loops',
      (s) => (s.nodes[0].manifest.data.m = '${[1].map(a, [1].map(b, [1].map(c, c)))}'),
      '/nodes/0/manifest/data/m',
      /nested deeper/,
    ],
    [
      'self in a manifest',
      (s) => (s.nodes[0].manifest.data.m = '${self.x}'),
      '/nodes/0/manifest/data/m',
      /"self"/,
    ],
    [
      'a node in when',
      (s) => (s.nodes[0].when = ['${service.spec.x == 1}']),
      '/nodes/0/when/0',
      /only parameters/,
    ],
    [
      'a rule that is not a boolean',
      (s) => (s.nodes[2].ready = ['${params.replicas}']),
      '/nodes/2/ready/0',
      /type int/,
    ],
    [
      'text around a rule',
      (s) => (s.nodes[2].ready = ['${true} ${true}']),
      '/nodes/2/ready/0',
      /exactly one/,
    ],
    [
      'a cycle',
      (s) => (s.nodes[3].manifest.spec.clusterIP = '${web.status.x}'),
      manifest,
      /web → service → web/,
    ],
    ['a repeated id', (s) => (s.nodes[3].id = 'web'), '/nodes/3/id', /already/],
    ['a reserved id', (s) => (s.nodes[0].id = 'params'), '/nodes/0/id', /meaning/],
    ['a kind outside the list', (s) => (s.nodes[0].manifest.kind = 'Pod'), '/nodes/0/manifest/kind', /Pod/],
    [
      'a name',
      (s) => (s.nodes[0].manifest.metadata = { name: 'x' }),
      '/nodes/0/manifest/metadata/name',
      /operator decides/,
    ],
    [
      'a protected label',
      (s) => (s.nodes[0].manifest.metadata = { labels: { 'felucca.dev/tenant': 'x' } }),
      '/nodes/0/manifest/metadata/labels/felucca.dev~1tenant',
      /protected/,
    ],
    [
      'a name that is too long for its kind',
      (s) => (s.nodes[3].nameSuffix = '-more-than-enough'),
      '/nodes/3/manifest/kind',
      /at most 22/,
    ],
    ['null', (s) => (s.nodes[0].manifest.data.m = null), '/nodes/0/manifest/data/m', /null/],
    [
      'generate outside a Secret',
      (s) => (s.nodes[0].generate = [{ key: 'a', length: 16 }]),
      '/nodes/0/generate',
      /only a Secret/,
    ],
    [
      'volumes that go with a suspension',
      (s) => {
        const { manifest: web } = s.nodes.find(({ id }: { id: string }) => id === 'web');
        web.kind = 'StatefulSet';
        web.spec.persistentVolumeClaimRetentionPolicy = { whenScaled: 'Delete' };
      },
      template.replace('/template/spec', '/persistentVolumeClaimRetentionPolicy'),
      /could destroy volumes/,
    ],
    ['hostNetwork', (s) => (pod(s).hostNetwork = true), `${template}/hostNetwork`, /host/],
    [
      'serviceAccountName',
      (s) => (pod(s).serviceAccountName = 'x'),
      `${template}/serviceAccountName`,
      /operator/,
    ],
    [
      'a hostPath volume',
      (s) => (pod(s).volumes = [{ name: 'a', hostPath: { path: '/' } }]),
      `${template}/volumes/0/hostPath`,
      /hostPath/,
    ],
    [
      'a projected token',
      (s) => (pod(s).volumes = [{ name: 'a', projected: { sources: [{ serviceAccountToken: {} }] } }]),
      `${template}/volumes/0/projected/sources/0`,
      /token/,
    ],
    [
      'computed volumes',
      (s) => (pod(s).volumes = '${params.settings}'),
      `${template}/volumes`,
      /written out/,
    ],
    [
      'a privileged container',
      (s) => (pod(s).containers[0].securityContext.privileged = true),
      `${container}/securityContext/privileged`,
      /privileged/,
    ],
    [
      'a computed security field',
      (s) => (pod(s).securityContext.runAsUser = '${params.replicas}'),
      `${template}/securityContext/runAsUser`,
      /literal/,
    ],
    ['a host port', (s) => (pod(s).containers[0].ports = [{ hostPort: 1 }]), `${container}/ports/0`, /host/],
    [
      'kept capabilities',
      (s) => delete pod(s).containers[0].securityContext.capabilities,
      `${container}/securityContext/capabilities/drop`,
      /ALL/,
    ],
    [
      'no seccomp profile',
      (s) => delete pod(s).securityContext.seccompProfile,
      `${container}/securityContext/seccompProfile`,
      /RuntimeDefault/,
    ],
    [
      'a probe of another host',
      (s) => (pod(s).containers[0].livenessProbe = { httpGet: { host: 'x' } }),
      `${container}/livenessProbe/httpGet/host`,
      /host/,
    ],
    [
      'a Service with external addresses',
      (s) => (s.nodes[3].manifest.spec.externalIPs = ['1.1.1.1']),
      '/nodes/3/manifest/spec/externalIPs',
      /traffic/,
    ],
    [
      'a sensitive parameter outside a Secret',
      (s) => (s.nodes[0].manifest.data.m = '${params.password}'),
      '/nodes/0/manifest/data/m',
      /sensitive/,
    ],
    [
      'all parameters outside a Secret',
      (s) => (s.nodes[0].manifest.data = '${params}'),
      '/nodes/0/manifest/data',
      /sensitive/,
    ],
    [
      'the content of a Secret',
      (s) => (s.nodes[0].manifest.data.m = '${credentials.data.password}'),
      '/nodes/0/manifest/data/m',
      /never leaves/,
    ],
    [
      'the content of a Secret by index',
      (s) => (s.nodes[0].manifest.data.m = '${credentials["data"].password}'),
      '/nodes/0/manifest/data/m',
      /never leaves/,
    ],
    [
      'an output with a Secret’s content',
      (s) => (s.outputs.ip.value = '${credentials.data.password}'),
      '/outputs/ip/value',
      /never leaves/,
    ],
    [
      'a sensitive output with a value',
      (s) => (s.outputs.ip.sensitive = true),
      '/outputs/ip/value',
      /reference/,
    ],
    [
      'a reference that is not sensitive',
      (s) => delete s.outputs.password.sensitive,
      '/outputs/password/value',
      /sensitive/,
    ],
    [
      'a reference to an unknown key',
      (s) => (s.outputs.password.value = "${secretRef('credentials', 'x')}"),
      '/outputs/password/value',
      /"password"/,
    ],
    [
      'a computed reference',
      (s) => (s.outputs.password.value = "${secretRef('credentials', params.message)}"),
      '/outputs/password/value',
      /literal strings/,
    ],
    [
      'a drift path that is no pointer',
      (s) => (s.nodes[2].drift = { ignore: ['/spec//x'] }),
      '/nodes/2/drift/ignore/0',
      /JSON pointer/,
    ],
    [
      'a schema keyword we do not have',
      (s) => (s.parameters.properties.message.format = 'x'),
      '/parameters/properties/message/format',
      /not a keyword/,
    ],
    [
      'a default that breaks its schema',
      (s) => (s.parameters.properties.replicas.default = 99),
      '/parameters/properties/replicas/default',
      /at most 9/,
    ],
    [
      'a default of a secret',
      (s) => (s.parameters.properties.password.default = 'x'),
      '/parameters/properties/password/default',
      /share/,
    ],
    [
      'a parameter no expression can name',
      (s) => (s.parameters.properties['a-b'] = { type: 'string' }),
      '/parameters/properties/a-b',
      /named/,
    ],
    [
      'a pattern that no linear engine runs',
      (s) => Object.assign(s.parameters.properties.message, { pattern: '^(a+)\\1$' }),
      '/parameters/properties/message/pattern',
      /RE2/,
    ],
    [
      'a pattern without a bound',
      (s) => (s.parameters.properties.message = { type: 'string', pattern: '^a$' }),
      '/parameters/properties/message/maxLength',
      /maxLength/,
    ],
  ];
  const forEach = (items: string, key?: string) => (s: Loose) =>
    Object.assign(s.nodes[0], { forEach: items }, key === undefined ? {} : { key });
  cases.push(
    ['a forEach over a text', forEach('${params.message}'), '/nodes/0/forEach', /list or a map/],
    [
      'a forEach over what is observed',
      forEach('${service.spec.ports}'),
      '/nodes/0/forEach',
      /only parameters/,
    ],
    ['a forEach over objects without a key', forEach('${params.shards}'), '/nodes/0/forEach', /not a key/],
    ['a key that no item has', forEach('${params.shards}', '${each.value.nam}'), '/nodes/0/key', /nam/],
    ['a key that is no text', forEach('${params.shards}', '${each.value}'), '/nodes/0/key', /string or int/],
    [
      'a key of a list item before it is made',
      forEach('${params.shards}', '${each.key}'),
      '/nodes/0/key',
      /key/,
    ],
    ['a key without forEach', (s) => (s.nodes[0].key = '${each.key}'), '/nodes/0/key', /no `forEach`/],
    [
      'a suffix beside forEach',
      (s) => Object.assign(forEach('${params.settings}')(s), { nameSuffix: '-x' }),
      '/nodes/0/nameSuffix',
      /have their key/,
    ],
    [
      'each outside of forEach',
      (s) => (s.nodes[0].manifest.data.m = '${each.key}'),
      '/nodes/0/manifest/data/m',
      /"each" is known only/,
    ],
    [
      'a field that no item has',
      (s) => {
        forEach('${params.shards}', '${each.value.name}')(s);
        s.nodes[0].manifest.data.m = '${each.value.nope}';
      },
      '/nodes/0/manifest/data/m',
      /nope/,
    ],
    [
      'a reference to one of many Secrets',
      (s) => (s.nodes[1].forEach = '${params.settings}'),
      '/outputs/password/value',
      /as many Secrets/,
    ],
    [
      'a typo in the items of a list',
      (s) => (s.nodes[0].manifest.data.m = '${params.shards.map(s, s.nam).join(",")}'),
      '/nodes/0/manifest/data/m',
      /nam/,
    ],
  );
  test.each(cases)('is refused for %s, with its place', (_, change, path, message) => {
    const problems = checkBlueprint(blueprintFixture(change));
    expect(problems).toContainEqual({
      path,
      message: expect.stringMatching(message) as string,
      remedy: expect.stringMatching(/./) as string,
    });
  });
});
