import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiProcess } from './support/api-process.ts';

let server: PostgresServer;
let api: ApiProcess;
beforeAll(async () => {
  server = await startPostgres({ name: 'bodies' });
  api = await ApiProcess.start(await server.createDatabase('bodies'));
});
afterAll(async () => {
  await api?.stop();
  await server?.stop();
});

const send = async (body: string, type = 'application/json', method = 'POST', path = '/v1/blueprints') => {
  const headers = { authorization: `Bearer ${api.platformKey}`, 'content-type': type };
  const answer = await fetch(api.url + path, { method, headers, ...(body === '' ? {} : { body }) });
  const text = await answer.text();
  // biome-ignore lint/suspicious/noExplicitAny: problems as the API sends them
  return { status: answer.status, body: text === '' ? undefined : (JSON.parse(text) as any) };
};

describe('a body', () => {
  test.each([
    ['U+0000', '{"parameters":{"message":"a\\u0000b"}}', '/parameters/message'],
    ['half a surrogate pair', '{"nodes":[{"x":"\\ud800"}]}', '/nodes/0/x'],
    ['such a name', '{"parameters":{"\\ud800":1}}', '/parameters/\ufffd'],
  ])('with %s is refused with its place, as it could not be stored', async (_, text, pointer) => {
    const answer = await send(text);
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toEqual([
      { pointer, message: expect.stringContaining('well-formed Unicode without U+0000') },
    ]);
  });

  test.each([
    ['', '['],
    [', whatever its texts look like', '["]]]","\\\\","\\"]",'],
  ])('that is nested for ever is refused before anything walks it%s', async (_, level) => {
    const answer = await send(`{"parameters":${level.repeat(20_000)}[]${']'.repeat(20_000)}}`);
    expect(answer.status).toBe(422);
    expect(answer.body.errors[0].message).toMatch(/nested deeper than 64/);
  });

  test('that is no JSON, or not called so, is told apart', async () => {
    expect((await send('{')).status).toBe(400);
    for (const type of ['text/plain', 'application/x-ndjson', 'application/xml'])
      expect((await send('{}', type)).status).toBe(415);
  });

  test('may be missing where none is wanted, whatever the header says', async () => {
    const made = await send('{"name":"brief"}', 'application/json', 'POST', '/v1/organizations');
    expect(made.status).toBe(201);
    const gone = await send('', 'application/json', 'DELETE', '/v1/organizations/brief');
    expect(gone.status).toBe(204);
  });
});
