import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { bundleProgram, NODE_FLAGS, repository } from '../src/images/bundle.ts';
import { buildImages } from '../src/images/index.ts';

const manifestOf = (archive: string) =>
  JSON.parse(execFileSync('tar', ['xOf', archive, 'manifest.json'], { encoding: 'utf8' }))[0];
const node = join(repository, 'node_modules/.bin/node');

test('control-api runs from its bundle alone', async () => {
  const bundle = await bundleProgram('control-api');
  const run = spawnSync(node, [bundle], { encoding: 'utf8', env: {}, cwd: '/', timeout: 20_000 });
  expect(run.stderr).toContain('DATABASE_URL');
  expect(run.status).toBe(1);
});

test.each(['control-api', 'operator'] as const)('the %s starts alike in every image', (program) => {
  const dockerfile = readFileSync(join(repository, `dev/images/${program}/Dockerfile`), 'utf8');
  const entrypoint = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? '[]');
  expect(entrypoint.slice(1, -1)).toEqual(NODE_FLAGS[program]);
});

test('the operator loads the Kubernetes client only where it needs it', async () => {
  const bundle = await bundleProgram('operator');
  // What it shares with a client that is loaded later must not bring that client along.
  const imported = [...readFileSync(bundle, 'utf8').matchAll(/^(?:import\b.*|\}) from "\.\/(.+)";$/gm)].map(
    ([, name]) => join(dirname(bundle), name!),
  );
  expect(imported).not.toEqual([]);
  const bytes = [bundle, ...imported].map((file) => statSync(file).size);
  expect(bytes.reduce((sum, size) => sum + size)).toBeLessThan(3_000_000);
});

test('images are reproducible and carry their name, user and entrypoint', async () => {
  const first = await buildImages(['web', 'postgres']);
  expect(await buildImages(['web', 'postgres'])).toEqual(first);
  expect(manifestOf(first.postgres.archive).RepoTags).toEqual(['felucca/postgres:18']);
  const config = JSON.parse(
    execFileSync('tar', ['xOf', first.web.archive, 'config.json'], { encoding: 'utf8' }),
  );
  expect(config.config).toMatchObject({ User: '65532:65532', Entrypoint: ['/usr/local/bin/web'] });
});
