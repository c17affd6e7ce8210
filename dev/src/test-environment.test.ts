import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const repository = join(import.meta.dirname, '../..');
const seen = (given: Record<string, string>): Record<string, string> => {
  const program = `await import('./vitest.config.ts'); console.log(JSON.stringify(process.env))`;
  const env = { PATH: process.env['PATH'], ...given };
  const args = ['--input-type=module', '-e', program];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: repository, env, encoding: 'utf8' }));
};

test('tests do not see the cluster, database and API that the shell points at', () => {
  const others = {
    KUBECONFIG: '/gone',
    KUBERNETES_SERVICE_HOST: '10.0.0.1',
    DATABASE_URL: 'postgres://production',
    PGHOST: 'production',
    HELM_NAMESPACE: 'production',
    NAME: 'production',
    FELUCCA_URL: 'https://production',
    FELUCCA_KEY: 'fel_1',
    FELUCCA_KEY_DIR: '/keys',
    FELUCCA_STATE: '/state',
  };
  const kept = { FELUCCA_CACHE: '/cache', FELUCCA_TEST_LOG: 'debug', PROVIDER: 'kwok', RUNS: '3' };
  const left = seen({ ...others, ...kept });
  expect(left).toMatchObject(kept);
  for (const name of Object.keys(others)) expect(left).not.toHaveProperty(name);
});
