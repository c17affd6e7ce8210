import { describe, expect, test } from 'vitest';
import type { BlueprintNode } from '../resources/blueprint.ts';
import { blueprintFixture } from './blueprint-fixture.ts';
import { checkBlueprint } from './check-types.ts';

// biome-ignore lint/suspicious/noExplicitAny: the table breaks fields that a typed Blueprint could not express
type Loose = any;
const problemsOf = (change: (spec: Loose) => void) => checkBlueprint(blueprintFixture(change));
const web = '/nodes/2/manifest/spec';
const container = `${web}/template/spec/containers/0`;
const pod = (spec: Loose): Loose => spec.nodes[2].manifest.spec.template.spec;
const deployment = (spec: Loose): Loose => spec.nodes[2].manifest.spec;
const data = (text: string) => (spec: Loose) => (spec.nodes[0].manifest.data.m = text);
const add = (node: Partial<BlueprintNode>) => (spec: Loose) => spec.nodes.push({ id: 'more', ...node });

describe('a Blueprint is refused, with its place and what to do,', () => {
  test.each<[name: string, change: (spec: Loose) => void, path: string, message: RegExp, remedy?: RegExp]>([
    [
      'for a field that a kind does not have',
      (s) => (deployment(s).replica = 1),
      `${web}/replica`,
      /"replica" is not a field of DeploymentSpec/,
      /there are .*"replicas"/,
    ],
    [
      'for one in the middle of nowhere',
      (s) => (s.nodes[3].manifest.sepc = {}),
      '/nodes/3/manifest/sepc',
      /not a field of Service/,
    ],
    [
      'for a number in quotes',
      (s) => (deployment(s).replicas = '3'),
      `${web}/replicas`,
      /must be an integer, got "3"/,
      /without quotes/,
    ],
    ['for half a number', (s) => (deployment(s).replicas = 1.5), `${web}/replicas`, /must be an integer/],
    [
      'for a number without quotes',
      (s) => (pod(s).containers[0].env[0].value = 1),
      `${container}/env/0/value`,
      /must be a text, got 1/,
      /in quotes/,
    ],
    [
      'for a truth without quotes',
      (s) => (s.nodes[0].manifest.data = { on: true }),
      '/nodes/0/manifest/data/on',
      /a text, got true/,
    ],
    [
      'for a list where a map belongs',
      (s) => (s.nodes[0].manifest.data = ['a']),
      '/nodes/0/manifest/data',
      /must be a map of a text/,
    ],
    [
      'for a map where a list belongs',
      (s) => (deployment(s).template.spec.imagePullSecrets = {}),
      `${web}/template/spec/imagePullSecrets`,
      /must be a list/,
    ],
    [
      'for a quantity that is none',
      (s) => (pod(s).containers[0].resources = { limits: { memory: '64 MB' } }),
      `${container}/resources/limits/memory`,
      /"64 MB" is not a quantity/,
      /64Mi/,
    ],
    [
      'for a value outside of an enumeration',
      (s) => (pod(s).containers[0].imagePullPolicy = 'Sometimes'),
      `${container}/imagePullPolicy`,
      /must be one of "Always", "IfNotPresent", "Never", got "Sometimes"/,
    ],
    [
      'for plain text in a Secret’s data',
      (s) => (s.nodes[1].manifest.data = { user: 'app!' }),
      '/nodes/1/manifest/data/user',
      /base64/,
      /stringData/,
    ],
    [
      'for a required field that is missing',
      (s) => delete pod(s).containers[0].name,
      `${container}/name`,
      /required in Container/,
      /add it/,
    ],
    [
      'for one below an expression',
      (s) => (pod(s).containers[0].env = [{ value: '${params.message}' }]),
      `${container}/env/0/name`,
      /required in EnvVar/,
    ],
    [
      'for an integer in a text',
      (s) => (pod(s).containers[0].env[0].value = '${params.replicas}'),
      `${container}/env/0/value`,
      /of type int, a text is needed here/,
      /string\(…\)/,
    ],
    [
      'for a text as an integer',
      (s) => (deployment(s).replicas = '${params.message}'),
      `${web}/replicas`,
      /of type string, an integer is needed/,
    ],
    [
      'for a text with an expression as an integer',
      (s) => (deployment(s).replicas = '1${params.replicas}'),
      `${web}/replicas`,
      /is a text, an integer is needed/,
      /whole value/,
    ],
    [
      'for a fraction as an integer',
      (s) => (deployment(s).replicas = '${params.ratio}'),
      `${web}/replicas`,
      /of type double/,
    ],
    [
      'for a list of the wrong things',
      (s) => (pod(s).containers[0].args = '${params.shards}'),
      `${container}/args`,
      /list<params.shards\[\]>, a list of a text/,
    ],
    [
      'for a map with values of the wrong type',
      (s) => (s.nodes[0].manifest.data = '${{"a": params.replicas}}'),
      '/nodes/0/manifest/data',
      /map<string, int>/,
    ],
    [
      'for an object parameter with a field that the kind does not have',
      (s) => {
        s.parameters.properties.probe = { type: 'object', properties: { perid: { type: 'integer' } } };
        pod(s).containers[0].readinessProbe = { tcpSocket: { port: 80 } };
        s.nodes[3].manifest.spec.sessionAffinityConfig = '${params.probe}';
      },
      '/nodes/3/manifest/spec/sessionAffinityConfig',
      /params\.probe, an object \(SessionAffinityConfig\)/,
    ],
    [
      'for reading a field that a child never has',
      data('${service.spec.clusterIp}'),
      '/nodes/0/manifest/data/m',
      /clusterIp/,
    ],
    [
      'for a child’s integer in a text field',
      data('${service.spec.ports[0].port}'),
      '/nodes/0/manifest/data/m',
      /of type int/,
    ],
    ['for one in a text', data('is ${service.nope}'), '/nodes/0/manifest/data/m', /nope/],
    [
      'for a rule over a field that is never there',
      (s) => (s.nodes[2].ready = ['${self.status.readyReplcas > 0}']),
      '/nodes/2/ready/0',
      /readyReplcas/,
    ],
    [
      'for a failure rule that compares a text with a number',
      (s) => (s.nodes[2].failed = [{ when: '${self.metadata.name > 3}', audience: 'tenant', reason: 'R' }]),
      '/nodes/2/failed/0/when',
      /string > int/,
    ],
    [
      'for a comparison with null, which nothing ever is',
      (s) => (s.nodes[2].ready = ['${self.status.observedGeneration != null}']),
      '/nodes/2/ready/0',
      /int != null/,
      /has\(…\)/,
    ],
    [
      'for an output of what is never there',
      (s) => (s.outputs.ip.value = '${web.status.ip}'),
      '/outputs/ip/value',
      /ip/,
    ],
    [
      'for a field of one child where there is one per item',
      (s) => {
        s.nodes[3].forEach = '${params.settings}';
        s.outputs = {};
      },
      `${container}/env/0/value`,
      /clusterIP/,
    ],
    [
      'for an item’s value of the wrong type',
      add({
        forEach: '${params.shards}',
        key: '${each.value.name}',
        manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { n: '${each.value.replicas}' } },
      }),
      '/nodes/4/manifest/data/n',
      /of type int/,
    ],
  ])('%s', (_, change, path, message, remedy = /./) => {
    expect(problemsOf(change)).toContainEqual({
      path,
      message: expect.stringMatching(message) as string,
      remedy: expect.stringMatching(remedy) as string,
    });
  });
});

describe('a Blueprint is taken', () => {
  test.each<[name: string, change: (spec: Loose) => void]>([
    [
      'with ports by number and by name',
      (s) =>
        (s.nodes[3].manifest.spec.ports = [
          { port: 80, targetPort: 'http' },
          { port: 81, name: 'b' },
        ]),
    ],
    [
      'with quantities as text and as number',
      (s) =>
        (pod(s).containers[0].resources = {
          limits: { cpu: 1.5, memory: '64Mi' },
          requests: { cpu: '250m' },
        }),
    ],
    [
      'with computed quantities',
      (s) =>
        (pod(s).containers[0].resources = {
          limits: { cpu: '${params.replicas}', memory: '${params.message}' },
        }),
    ],
    ['with a computed map', (s) => (s.nodes[0].manifest.data = '${params.settings}')],
    [
      'with a computed list of objects',
      (s) => (pod(s).containers[0].env = '${params.shards.map(s, {"name": s.name, "value": "x"})}'),
    ],
    ['with data in base64', (s) => (s.nodes[1].manifest.data = { user: 'YXBw' })],
    ['with what is known only when it runs', data('${dyn(params.settings)["x"]}')],
    [
      'with a rule that asks whether a field is there',
      (s) => (s.nodes[2].ready = ['${has(self.status.readyReplicas) && self.status.readyReplicas > 0}']),
    ],
    [
      'that reads one per item by key',
      (s) => {
        s.nodes[3].forEach = '${params.settings}';
        pod(s).containers[0].env[0].value = '${service.map(k, service[k].spec.clusterIP).join(",")}';
        s.outputs = {};
      },
    ],
    ['that reads a protocol that is a name or a number', data('${string(service.spec.ports[0].targetPort)}')],
  ])('%s', (_, change) => {
    expect(problemsOf(change)).toEqual([]);
  });
});
