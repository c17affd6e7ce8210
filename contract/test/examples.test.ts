import { globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Cluster, definitionsEstablished, startCluster, waitUntil } from '@felucca/dev';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { CHILD_KINDS, kubernetesTypes, OPENAPI_PATHS, PINNED_TYPES, RESOURCES } from '../src/index.ts';

const crds = join(import.meta.dirname, '../../crds');
const examples = (folder: string): [string, string][] =>
  readdirSync(join(crds, 'examples', folder))
    .sort()
    .map((file) => [file, readFileSync(join(crds, 'examples', folder, file), 'utf8')]);
const kindOf = (yaml: string): string => (parse(yaml) as { kind: string }).kind;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ name: `test-examples-${process.pid}`, provider: 'bare' });
  await cluster.kubectl(['apply', '--server-side', '-f', crds]);
  await definitionsEstablished(cluster);
  await cluster.kubectl(['create', 'namespace', 'tenant-acme']);
  // A kind is established a moment before its validation answers.
  for (const { plural } of Object.values(RESOURCES))
    await waitUntil(
      `${plural} to be served`,
      async () => (await cluster.kubectl(['get', plural, '-A'])) || 'none',
      {
        timeoutMs: 20_000,
      },
    );
});
afterAll(() => cluster?.stop());

const apply = (yaml: string, ...flags: string[]): Promise<string> =>
  cluster.kubectl(['apply', '--server-side', '--validate=strict', ...flags, '-f', '-'], { stdin: yaml });

describe('the real API server', () => {
  test.each(examples('valid'))('takes %s', async (_file, yaml) => {
    await apply(yaml, '--dry-run=server');
  });

  test.each(examples('must-reject'))(
    'rejects %s for the reason that its first line names',
    async (_file, yaml) => {
      const reason = /^# rejected: (.+)\n/.exec(yaml)?.[1];
      expect(reason, 'the file must start with "# rejected: <part of the message>"').toBeDefined();
      await expect(apply(yaml, '--dry-run=server')).rejects.toThrow(reason!);
    },
  );

  test.each(Object.keys(RESOURCES))('%s has examples of both sorts', (kind) => {
    for (const folder of ['valid', 'must-reject'])
      expect(examples(folder).map(([, yaml]) => kindOf(yaml))).toContain(kind);
  });
});

const documents = globSync(join(import.meta.dirname, '../../docs/{runbooks/*,operations}.md'));
/** Commands that only look, as far as they are kubectl's and name no particular object. */
const looks = new Set(
  documents
    .flatMap((path) =>
      [...readFileSync(path, 'utf8').matchAll(/`(kubectl [^`|]*)/g)].map((match) => match[1]!),
    )
    .filter((command) => / get /.test(command) && !/[<]|servicemonitor/.test(command)),
);

describe('a command of the documents', () => {
  beforeAll(() => cluster.kubectl(['create', 'namespace', 'felucca-system']));

  test.each([...looks])('%s', async (command) => {
    const words = [...command.trim().matchAll(/'([^']*)'|(\S*='[^']*')|\S+/g)].map(([word, quoted]) =>
      (quoted ?? word).replace(/='(.*)'$/s, '=$1'),
    );
    const problem = await cluster.kubectl(words.slice(1)).then(
      () => '',
      (error: Error) => error.message,
    );
    // An empty cluster has not every object; a wrong kind, flag or path would be said first.
    expect(problem).toMatch(/^$|\(NotFound\): (?!.*the server could not find the requested resource)/);
  });
});

test('what we keep about the kinds of children is what the API server says (npm run generate:kubernetes)', async () => {
  const read = (path: string) => cluster.kubectl(['get', '--raw', `/openapi/v3/${path}`]);
  const documents = (await Promise.all(OPENAPI_PATHS.map(read))).map((text): unknown => JSON.parse(text));
  expect(PINNED_TYPES).toEqual(kubernetesTypes(documents));
  expect(Object.keys(PINNED_TYPES.kinds)).toHaveLength(CHILD_KINDS.length);
});

describe('what was accepted once', () => {
  const edit = (kind: string, name: string, patch: object, ...flags: string[]) =>
    cluster.kubectl(['patch', kind, name, '--type=merge', '-p', JSON.stringify(patch), ...flags]);
  const valid = (file: string): string => readFileSync(join(crds, 'examples/valid', file), 'utf8');

  test('a Blueprint version never changes', async () => {
    const yaml = valid('blueprint-web.yaml');
    await apply(yaml);
    const { metadata } = parse(yaml) as { metadata: { name: string } };
    await expect(edit('blueprint', metadata.name, { spec: { title: 'Another' } })).rejects.toThrow(
      /immutable; publish a new version/,
    );
  });

  test('an Instance changes its version, but never its product', async () => {
    const yaml = valid('instance-web.yaml');
    await apply(yaml);
    const { metadata } = parse(yaml) as { metadata: { name: string; namespace: string } };
    const at = ['-n', metadata.namespace];
    await edit('instance', metadata.name, { spec: { blueprintRef: { version: '9.9.9' } } }, ...at);
    const other = { spec: { blueprintRef: { name: 'another' } } };
    await expect(edit('instance', metadata.name, other, ...at)).rejects.toThrow(/not its product/);
  });

  test('a Tenant keeps its organization, also when the spec is taken away', async () => {
    await apply(valid('tenant.yaml').replace(/name: acme$/m, 'name: kept'));
    await edit('tenant', 'kept', { spec: { organizationId: 'org_1' } });
    for (const spec of [{ organizationId: 'org_2' }, { organizationId: null }, null])
      await expect(edit('tenant', 'kept', { spec })).rejects.toThrow(
        /spec\.organizationId.*delete the Tenant and create another/,
      );
  });

  test('kubectl explain tells what a field is for', async () => {
    const told = await cluster.kubectl(['explain', 'instance.spec.deletionPolicy']);
    expect(told).toContain('workloads go, volumes and secrets stay');
  });

  test('a new object never looks done: its status starts at generation -1', async () => {
    await apply(valid('tenant.yaml'));
    const path = 'jsonpath={.status.observedGeneration}';
    expect(await cluster.kubectl(['get', 'tenant', 'acme', '-o', path])).toBe('-1');
  });
});
