import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { scratchDirectory } from './scratch.ts';

const repository = join(import.meta.dirname, '../..');

/** What the repository's own lint configuration says about one file at that path. */
function lint(path: string, source: string): Promise<{ code: number; output: string }> {
  const folder = scratchDirectory();
  copyFileSync(join(repository, '.oxlintrc.json'), join(folder, '.oxlintrc.json'));
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, source);
  return new Promise((resolve) => {
    const binary = join(repository, 'node_modules/.bin/oxlint');
    execFile(binary, ['--deny-warnings'], { cwd: folder, timeout: 30_000 }, (error, stdout, stderr) =>
      resolve({ code: error ? 1 : 0, output: stdout + stderr }),
    );
  });
}
const using = (name: string): string => `import * as it from '${name}';\nexport const used = it;\n`;

test.each([
  ['contract/src/a.ts', 'node:fs', /contract is pure/],
  ['contract/src/a.ts', '@felucca/operator', /imports neither/],
  ['operator/src/sync/a.ts', 'pg', /never reads Postgres/],
  ['operator/src/sync/a.ts', 'fastify', /never reads Postgres/],
  ['operator/src/a.ts', '@felucca/control-api', /only through the contract/],
  ['control-api/src/feed/a.ts', '@kubernetes/client-node', /never calls Kubernetes/],
  ['control-api/src/a.ts', '@felucca/operator', /only through the contract/],
  ['control-api/src/a.ts', '@felucca/dev/postgres', /never the local stack/],
])('%s importing %s fails the lint', async (path, name, why) => {
  const { code, output } = await lint(path, using(name));
  expect(output).toMatch(why);
  expect(code).toBe(1);
});

test.each([
  ['contract/src/a.ts', 'node:crypto'],
  ['operator/src/a.ts', '@kubernetes/client-node'],
  ['control-api/src/a.ts', 'pg'],
  ['control-api/test/a.test.ts', '@felucca/dev'],
])('%s importing %s passes', async (path, name) => {
  expect(await lint(path, using(name))).toMatchObject({ code: 0 });
});
