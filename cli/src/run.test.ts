import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { capture } from '../test/support/captured.ts';

const folder = mkdtempSync(join(tmpdir(), 'felucca-run-'));
let server: Server;

/** An API server that answers each request with what its path is here; what is not here says so. */
const answers: Record<string, { status?: number; body: unknown }> = {};
const felucca = (...args: string[]) => capture({ kubeconfig: join(folder, 'config') }, args);

function writeKubeconfig(url: string): void {
  const config = {
    clusters: [{ name: 'c', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: {} }],
    contexts: [{ name: 'test', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'test',
  };
  writeFileSync(join(folder, 'config'), JSON.stringify(config));
}

beforeAll(async () => {
  server = createServer(({ url = '' }, response) => {
    const { status = 200, body } = answers[new URL(url, 'http://x').pathname] ?? {
      body: { metadata: {}, items: [] },
    };
    response.statusCode = status;
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

const here = () => writeKubeconfig(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
const INSTANCES = '/apis/felucca.dev/v1alpha1/instances';

test('a server that is no URL is an error with a remedy', async () => {
  writeKubeconfig('nowhere at all');
  expect(await felucca('status')).toMatchObject({
    exitCode: 2,
    stderr:
      'Error: the cluster of context "test" has the server "nowhere at all", which is no URL\n  correct the kubeconfig: https://<host>:<port>\n',
  });
});

test('a page in place of an answer is an error with a remedy', async () => {
  here();
  answers[INSTANCES] = { body: '<html>log in</html>' };
  const { exitCode, stderr } = await felucca('status');
  expect(stderr).toMatch(/^Error: GET \S+: the answer is no JSON: <html>log in<\/html>\n {2}\S/);
  expect(exitCode).toBe(2);
});

test('what nobody foresaw ends as an error, too, and says where it was', async () => {
  here();
  answers[INSTANCES] = { body: { metadata: {} } };
  const { exitCode, stderr } = await felucca('status');
  expect(stderr).toMatch(/^Error: .*\n {2}this is a mistake in the CLI: report it .*\n.*\n +at /);
  expect(exitCode).toBe(2);
});

describe('--watch', () => {
  const instance = (createdAt: string, ready: string) => ({
    metadata: { name: 'db', namespace: 'tenant-a', generation: 1, creationTimestamp: createdAt },
    spec: { blueprintRef: { name: 'demo', version: '1.0.0' } },
    status: {
      observedGeneration: 1,
      conditions: [{ type: 'Ready', status: ready, reason: `Is${ready}`, message: 'as it is' }],
    },
  });
  /** Each look sees the Instance a second older; the third sees that it is Ready. */
  const watched = async (isScreen: boolean) => {
    here();
    let looks = 0;
    const end = new Error('enough');
    const out: string[] = [];
    const show = (): void => {
      const createdAt = new Date(Date.now() - 10_000 - looks * 1_000).toISOString();
      answers[INSTANCES] = {
        body: { metadata: {}, items: [instance(createdAt, looks < 2 ? 'False' : 'True')] },
      };
    };
    show();
    const sleep = async (): Promise<void> => {
      looks += 1;
      if (looks > 4) throw end;
      show();
    };
    await capture({ kubeconfig: join(folder, 'config') }, ['status', '-w'], {
      isScreen,
      out: (text) => void out.push(text),
      sleep,
    });
    return out;
  };

  test('shows it again when it changes, and an age is no change', async () => {
    const pictures = await watched(false);
    expect(pictures.map((picture) => /IsFalse|IsTrue/.exec(picture)?.[0])).toEqual(['IsFalse', 'IsTrue']);
  });
  test('on a screen ages go on in place', async () => {
    expect(await watched(true)).toHaveLength(5);
  });
});

describe('the version', () => {
  const DATA_PLANE = '/apis/felucca.dev/v1alpha1/dataplanes/default';
  test('of the CLI takes no cluster', async () => {
    expect(await felucca('--version')).toEqual({
      exitCode: 0,
      stdout: expect.stringMatching(/^felucca \d+\.\d+\.\d+( \(commit [0-9a-f]+\))?\n$/),
      stderr: '',
    });
  });

  test('of the operator is what it says of itself', async () => {
    here();
    answers['/version'] = { body: { gitVersion: 'v1.36.0' } };
    answers[DATA_PLANE] = { body: { metadata: {}, status: { operatorVersion: '0.9.9' } } };
    const { stdout, exitCode } = await felucca('version');
    expect(stdout).toMatch(/^CLI +\d\S+.*\nOperator +0\.9\.9\nKubernetes +v1\.36\.0\n$/);
    expect(exitCode).toBe(0);
    expect(JSON.parse((await felucca('version', '-o', 'json')).stdout)).toMatchObject({
      operator: '0.9.9',
      kubernetes: 'v1.36.0',
    });
    answers[DATA_PLANE] = { status: 403, body: { message: 'no' } };
    expect((await felucca('version')).stdout).toMatch(/^Operator +hidden: you may not read the DataPlane$/m);
  });
});

test('json leaves out what only the API server reads, as kubectl does, and no parameter of that name', async () => {
  here();
  const managedFields = [{ manager: 'x' }];
  answers['/apis/felucca.dev/v1alpha1/dataplanes/default'] = {
    body: { metadata: { name: 'default', managedFields }, spec: {} },
  };
  answers['/apis/felucca.dev/v1alpha1/namespaces/tenant-a/instances/db'] = {
    body: {
      metadata: { name: 'db', namespace: 'tenant-a', managedFields },
      spec: { parameters: { metadata: { managedFields } }, suspend: true },
    },
  };
  expect(JSON.parse((await felucca('status', '-o', 'json')).stdout).dataPlane.metadata).toEqual({
    name: 'default',
  });
  const told = JSON.parse((await felucca('suspend', 'tenant-a/db', '-o', 'json')).stdout);
  expect(told.metadata).toEqual({ name: 'db', namespace: 'tenant-a' });
  expect(told.spec.parameters).toEqual({ metadata: { managedFields } });
});
