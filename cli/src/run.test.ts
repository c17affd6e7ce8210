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
