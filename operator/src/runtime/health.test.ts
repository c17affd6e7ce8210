import { Gauge, Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { type HealthOptions, serveHealth } from './health.ts';

async function serve(options: Partial<HealthOptions>) {
  const server = await serveHealth({ host: '127.0.0.1', port: 0, ...options });
  onTestFinished(() => server.close());
  return async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
    return { status: response.status, text: await response.text() };
  };
}

test('well is 200; a probe that fails is 503 and says what is wrong', async () => {
  let problem: string | undefined;
  const get = await serve({ ready: { caches: () => problem, lease: async () => undefined } });
  expect(await get('/readyz')).toMatchObject({ status: 200, text: expect.stringContaining('[+] caches ok') });
  problem = 'Instance not listed yet';
  const failing = await get('/readyz');
  expect(failing).toMatchObject({
    status: 503,
    text: expect.stringContaining('[-] caches: Instance not listed yet'),
  });
  expect(failing.text).toContain('[+] lease ok');
  expect((await get('/healthz')).status).toBe(200);
});

test('a check that throws is a check that fails', async () => {
  const get = await serve({
    live: {
      broken: () => {
        throw new Error('boom');
      },
    },
  });
  expect(await get('/healthz')).toMatchObject({ status: 503, text: expect.stringContaining('boom') });
});

test('/metrics has what the registry has; elsewhere is nothing', async () => {
  const registry = new Registry();
  new Gauge({ name: 'answer', help: 'The answer.', registers: [registry] }).set(42);
  const get = await serve({ registry });
  expect((await get('/metrics')).text).toContain('answer 42');
  expect((await get('/')).status).toBe(404);
});

test('a port that is taken is an error that says so', async () => {
  const server = await serveHealth({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => server.close());
  await expect(serveHealth({ host: '127.0.0.1', port: server.port })).rejects.toThrow(
    `cannot listen on 127.0.0.1:${server.port}`,
  );
});
