import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiProcess } from './support/api-process.ts';

// What a change would do to each child, and drift that becomes a change.

const blueprint = (version: string, more: { id: string; manifest: object }[] = []) => ({
  name: 'shop',
  version,
  parameters: {
    type: 'object',
    properties: {
      replicas: { type: 'integer', minimum: 1, maximum: 9, default: 1 },
      text: { type: 'string', default: 'a', maxLength: 100 },
      service: { type: 'string', default: 'db', maxLength: 20 },
      zone: { type: 'string', default: 'a', maxLength: 10, immutable: true },
      labels: { type: 'object', additionalProperties: { type: 'string' }, default: { tier: 'x' } },
    },
  },
  nodes: [
    {
      id: 'config',
      manifest: {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { annotations: { zone: '${params.zone}' } },
        data: { text: '${params.text}', twice: '${params.text + params.text}', fixed: 'x' },
      },
    },
    {
      id: 'labels',
      manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: '${params.labels}' },
    },
    {
      id: 'db',
      manifest: {
        apiVersion: 'apps/v1',
        kind: 'StatefulSet',
        spec: {
          serviceName: '${params.service}',
          replicas: '${params.replicas}',
          template: {
            spec: {
              securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
              containers: [
                {
                  name: 'db',
                  image: version === '1.0.0' ? 'db:1' : 'db:2',
                  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
                },
              ],
            },
          },
        },
      },
    },
    ...more,
  ],
});

let server: PostgresServer;
let api: ApiProcess;
let database: pg.Client;
let key: string;
const instances = '/v1/organizations/acme/instances';

beforeAll(async () => {
  server = await startPostgres({ name: 'updates' });
  const url = await server.createDatabase('updates');
  api = await ApiProcess.start(url);
  database = new pg.Client({ connectionString: url });
  await database.connect();
  await api.call('POST', '/v1/organizations', { name: 'acme' });
  key = (await api.call('POST', '/v1/organizations/acme/api-keys', { name: 'k' })).body.key;
  await api.call('POST', '/v1/data-planes', { name: 'dp' });
  const more = [{ id: 'extra', manifest: { apiVersion: 'v1', kind: 'ConfigMap' } }];
  for (const body of [blueprint('1.0.0'), blueprint('2.0.0', more)])
    expect((await api.call('POST', '/v1/blueprints', body)).body).not.toHaveProperty('errors');
});
afterAll(async () => {
  await database?.end();
  await api?.stop();
  await server?.stop();
});

const call = (method: string, path: string, body?: object, headers: Record<string, string> = {}) =>
  api.call(method, `${instances}/${path}`, body, headers, key);
const order = async (name: string, parameters: object = {}) => {
  const body = { name, dataPlane: 'dp', blueprint: 'shop', version: '1.0.0', parameters };
  const reply = await api.call('POST', instances, body, {}, key);
  return { id: String(reply.body.id), etag: reply.headers.get('etag') ?? '' };
};
/** Everything that a change writes. */
const written = async () => {
  const { rows } = await database.query(
    `SELECT (SELECT head FROM felucca.feed_heads LIMIT 1) AS head, (SELECT count(*) FROM felucca.operations) AS operations,
            (SELECT count(*) FROM felucca.audit) AS audit, (SELECT sum(generation) FROM felucca.instances) AS generations`,
  );
  return rows[0];
};

describe('a dry run of a change', () => {
  const plan = async (name: string, patch: object) => {
    const reply = await call('PATCH', `${name}?dryRun=true`, patch);
    const children = reply.body.children as { node: string; effect: string }[] | undefined;
    return { reply, effects: Object.fromEntries((children ?? []).map(({ node, effect }) => [node, effect])) };
  };

  test('tells what would happen to each child, and writes nothing', async () => {
    await order('dry');
    const before = await written();
    expect((await plan('dry', {})).effects).toEqual({
      config: 'unchanged',
      labels: 'unchanged',
      db: 'unchanged',
    });
    const scaled = await plan('dry', { parameters: { replicas: 3, text: 'b' } });
    expect(scaled.effects).toEqual({ config: 'inPlace', labels: 'unchanged', db: 'inPlace' });
    expect(scaled.reply.body).toMatchObject({
      valid: true,
      parameters: { replicas: 3, text: 'b', zone: 'a' },
    });
    const upgraded = await plan('dry', { version: '2.0.0' });
    expect(upgraded.effects).toEqual({
      config: 'inPlace',
      labels: 'inPlace',
      db: 'restart',
      extra: 'create',
    });
    const refused = await plan('dry', { parameters: { service: 'other' } });
    expect(refused.reply.body.children).toContainEqual({
      child: 'StatefulSet/dry-db',
      node: 'db',
      effect: 'impossible',
      fields: ['/spec/serviceName'],
      unknown: [],
      refusal: expect.stringContaining('volumes'),
    });
    expect(await written()).toEqual(before);
  });

  test('refuses what the change itself would be refused for', async () => {
    await order('dry-bad');
    expect((await plan('dry-bad', { parameters: { replicas: 99 } })).reply.status).toBe(422);
    expect((await plan('dry-bad', { parameters: { zone: 'b' } })).reply.body.code).toBe('IMMUTABLE');
    expect((await plan('dry-bad', { version: '9.9.9' })).reply.status).toBe(422);
    const stale = await call('PATCH', 'dry-bad?dryRun=true', {}, { 'if-match': '"old"' });
    expect(stale.status).toBe(412);
    expect((await plan('no-such', {})).reply.status).toBe(404);
  });
});

describe('accepting drift', () => {
  let clock = 0;
  /** As the operator's report stores it. */
  const drift = async (id: string, object: string, path: string, expected: string, actual: string) => {
    clock += 1;
    const { rows } = await database.query(
      `INSERT INTO felucca.drift (tenant_id, data_plane_id, kind, key, object_id, object, path, expected, actual,
                                  manager, action, detected_at)
       SELECT tenant_id, data_plane_id, 'Instance', 'acme/x', id::text, $2, $3, $4, $5, 'kubectl', 'corrected',
              to_timestamp($6) FROM felucca.instances WHERE id = $1 RETURNING id::text`,
      [id, object, path, expected, actual, clock],
    );
    return rows[0].id as string;
  };
  const accept = (name: string, id: string, headers: Record<string, string>) =>
    call('POST', `${name}/drift/${id}/accept`, undefined, headers);

  test('is a change like any other: validated, audited, under If-Match and Idempotency-Key, with an operation', async () => {
    const { id, etag } = await order('takes');
    const found = await drift(id, 'StatefulSet/takes-db', '/spec/replicas', '1', '4');
    expect((await call('GET', 'takes/drift')).body.items).toMatchObject([{ id: found, actual: '4' }]);
    expect((await accept('takes', found, {})).status).toBe(428);
    expect((await accept('takes', found, { 'if-match': '"old"' })).status).toBe(412);
    const headers = { 'if-match': etag, 'idempotency-key': 'accept-1' };
    const reply = await accept('takes', found, headers);
    expect(reply).toMatchObject({
      status: 202,
      body: { generation: 2, parameters: { replicas: 4 }, operation: { kind: 'update', state: 'accepted' } },
    });
    const again = await accept('takes', found, headers);
    expect([again.body, again.headers.get('idempotent-replayed')]).toEqual([reply.body, 'true']);
    expect((await call('GET', 'takes/desired')).body.spec.parameters.replicas).toBe(4);
    const { rows } = await database.query(
      "SELECT action, detail FROM felucca.audit WHERE object = 'instance/takes' ORDER BY id DESC LIMIT 1",
    );
    expect(rows).toMatchObject([
      { action: 'instance.update', detail: { drift: found, parameter: '/replicas' } },
    ]);
  });

  test('works for texts, for one key of a map, and for an edit of the Instance itself', async () => {
    const { id } = await order('kinds');
    const take = async (object: string, path: string, expected: string, actual: string) => {
      const found = await drift(id, object, path, expected, actual);
      return (await accept('kinds', found, { 'if-match': '*' })).body.parameters;
    };
    expect(await take('ConfigMap/kinds-config', '/data/text', 'a', '12')).toMatchObject({ text: '12' });
    expect(await take('ConfigMap/kinds-labels', '/data/tier', 'x', 'y')).toMatchObject({
      labels: { tier: 'y' },
    });
    expect(await take('Instance/kinds', '/spec/parameters/replicas', '1', '2')).toMatchObject({
      replicas: 2,
    });
  });

  test('a dry run tells what it would do', async () => {
    const { id } = await order('dry-accept');
    const found = await drift(id, 'StatefulSet/dry-accept-db', '/spec/replicas', '1', '4');
    const reply = await call('POST', `dry-accept/drift/${found}/accept?dryRun=true`);
    expect(reply.body).toMatchObject({ valid: true, parameters: { replicas: 4 } });
    expect((await call('GET', 'dry-accept')).body.generation).toBe(1);
  });

  test.each<[string, string, string, string, string, number, RegExp]>([
    ['a computed field', 'ConfigMap/no-config', '/data/twice', 'aa', 'b', 409, /computes.*set "text"/],
    ['a fixed field', 'ConfigMap/no-config', '/data/fixed', 'x', 'y', 409, /fixed value; publish a version/],
    [
      'a field of the operator',
      'StatefulSet/no-db',
      '/spec/selector',
      '{}',
      '{}',
      409,
      /does not set this field/,
    ],
    ['a deleted child', 'StatefulSet/no-db', '', 'exists', 'deleted', 409, /whole child was deleted/],
    ['a child that is no more', 'ConfigMap/no-gone', '/data/a', '1', '2', 409, /no child of this version/],
    ['an older value', 'StatefulSet/no-db', '/spec/replicas', '7', '8', 409, /another value .* was wanted/],
    [
      'a field that was removed',
      'StatefulSet/no-db',
      '/spec/replicas',
      '1',
      'absent',
      409,
      /set \/replicas yourself/,
    ],
    ['suspend', 'Instance/no', '/spec/suspend', 'false', 'true', 409, /no parameter; change the Instance/],
    ['a value out of range', 'StatefulSet/no-db', '/spec/replicas', '1', '99', 422, /do not fit/],
    ['an immutable one', 'ConfigMap/no-config', '/metadata/annotations/zone', 'a', 'b', 409, /fixed when/],
  ])(
    'is refused of %s, with what to change instead',
    async (what, object, path, expected, actual, status, why) => {
      const existing = await call('GET', 'no');
      const id = existing.status === 200 ? String(existing.body.id) : (await order('no')).id;
      const found = await drift(id, object, path, expected, actual);
      const before = await written();
      const reply = await accept('no', found, { 'if-match': '*' });
      expect([what, reply.status, reply.body.detail]).toEqual([what, status, expect.stringMatching(why)]);
      expect(await written()).toEqual(before);
    },
  );

  test('never reaches the drift of another Instance', async () => {
    const { id } = await order('mine');
    await order('other');
    const found = await drift(id, 'StatefulSet/mine-db', '/spec/replicas', '1', '4');
    expect((await accept('other', found, { 'if-match': '*' })).status).toBe(404);
    expect((await accept('other', 'x', { 'if-match': '*' })).status).toBe(422);
  });
});
