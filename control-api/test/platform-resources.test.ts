import { createHash, randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keyedHashFrom } from '../src/db/keyed-hash.ts';
import { PLATFORM_TENANT } from '../src/db/tenant.ts';
import { newKey, parseKey } from '../src/http/api-keys.ts';
import {
  acmeKey,
  api,
  database,
  instances,
  order,
  startResources,
  stopResources,
} from './support/resources-stage.ts';
import { tinyBlueprint } from './support/tiny-blueprint.ts';

beforeAll(() => startResources('platform-resources'));
afterAll(stopResources);

describe('keys', () => {
  test('a key with a typo, an unknown one and none are told apart by what to do', async () => {
    const typo = `${acmeKey.slice(0, -1)}${acmeKey.endsWith('0') ? '1' : '0'}`;
    expect((await api.call('GET', instances, undefined, {}, typo)).body.detail).toMatch(/checksum/);
    const none = await fetch(api.url + instances);
    expect(none.status).toBe(401);
    expect(none.headers.get('www-authenticate')).toContain('Bearer');
  });

  test('an organization key cannot do what the platform does', async () => {
    const reply = await api.call('POST', '/v1/organizations', { name: 'x' }, {}, acmeKey);
    expect([reply.status, reply.body.code]).toEqual([403, 'FORBIDDEN']);
  });

  test('a revoked key stops working, and the database never held its secret', async () => {
    const made = (await api.call('POST', '/v1/organizations/acme/api-keys', { name: 'gone' })).body;
    await api.call('DELETE', `/v1/organizations/acme/api-keys/${made.id}`);
    expect((await api.call('GET', instances, undefined, {}, made.key)).status).toBe(401);
    const secret = made.key.split('_')[2].slice(0, 43);
    const { rows } = await database.query(
      `SELECT count(*)::int AS n FROM felucca.idempotency_keys WHERE body::text LIKE $1`,
      [`%${secret}%`],
    );
    expect(rows[0].n).toBe(0);
  });

  describe('somebody who can write to the database', () => {
    /** A key as it would be made by anybody, and the row that a plain hash would make it good with. */
    const forge = async (tenantId: string, scope: string): Promise<string> => {
      const id = randomUUID();
      const { key } = newKey(keyedHashFrom('not the one in the key folder'), {
        id,
        tenantId,
        scope: 'platform',
      });
      const secretHash = createHash('sha256').update(parseKey(key)!.secret).digest();
      await insert(tenantId, id, scope, secretHash);
      return key;
    };
    const insert = (tenantId: string, id: string, scope: string, secretHash: Buffer) =>
      database.query(
        'INSERT INTO felucca.api_keys (tenant_id, id, name, scope, secret_hash) VALUES ($1, $2, $3, $4, $5)',
        [tenantId, id, 'forged', scope, secretHash],
      );
    const statusWith = async (key: string): Promise<number> =>
      (await api.call('GET', '/v1/organizations', undefined, {}, key)).status;

    test('makes no key good', async () => {
      const acme = (await api.call('GET', '/v1/organizations/acme')).body.id;
      for (const key of [await forge(PLATFORM_TENANT, 'platform'), await forge(acme, 'organization')]) {
        expect(await statusWith(key)).toBe(401);
        const ordered = await api.call('POST', instances, {}, {}, key);
        expect([ordered.status, ordered.body.code]).toEqual([401, 'UNAUTHENTICATED']);
      }
    });

    test('does not make a key of an organization one of the platform or of another organization', async () => {
      const made = (await api.call('POST', '/v1/organizations/acme/api-keys', { name: 'lent' })).body;
      const { rows } = await database.query('SELECT secret_hash FROM felucca.api_keys WHERE id = $1', [
        made.id,
      ]);
      const rival = (await api.call('GET', '/v1/organizations/rival')).body.id;
      for (const [tenantId, scope] of [
        [PLATFORM_TENANT, 'platform'],
        [rival, 'organization'],
      ]) {
        await database.query('UPDATE felucca.api_keys SET tenant_id = $2, scope = $3 WHERE id = $1', [
          made.id,
          tenantId,
          scope,
        ]);
        expect(await statusWith(made.key)).toBe(401);
      }
      const another = randomUUID();
      await insert(PLATFORM_TENANT, another, 'platform', rows[0].secret_hash);
      expect(await statusWith(renamed(made.key, another))).toBe(401);
    });

    test('breaks a key with a hash of another length, and nothing else', async () => {
      const made = (await api.call('POST', '/v1/organizations/acme/api-keys', { name: 'short' })).body;
      await database.query("UPDATE felucca.api_keys SET secret_hash = 'x' WHERE id = $1", [made.id]);
      expect(await statusWith(made.key)).toBe(401);
    });
  });

  test('whose making no key stands for is audited as well', async () => {
    const { rows } = await database.query(
      "SELECT action, object FROM felucca.audit WHERE actor = 'program:create-key'",
    );
    const [, id] = /^fel_([0-9a-f]{32})/.exec(api.platformKey) ?? [];
    expect(rows.map((row) => [row.action, row.object.replaceAll('-', '')])).toEqual([
      ['api-key.create', `apikey/${id}`],
    ]);
  });
});

/** The same secret under another id, with a checksum that fits. */
function renamed(key: string, id: string): string {
  const body = `fel_${id.replaceAll('-', '')}_${parseKey(key)!.secret}`;
  return `${body}${crc32(body).toString(16).padStart(8, '0')}`;
}

describe('deleting', () => {
  const orderIn = (organization: string, name: string) =>
    api.call('POST', `/v1/organizations/${organization}/instances`, {
      name,
      dataPlane: 'dp',
      blueprint: 'tiny',
      version: '1.0.0',
    });

  test('a deleted organization takes its Tenant off every data plane and its keys along, and leaves the name free', async () => {
    const brief = (await api.call('POST', '/v1/organizations', { name: 'brief' })).body;
    await api.call('POST', '/v1/organizations/brief/api-keys', { name: 'k' });
    const made = await orderIn('brief', 'one');
    await api.call('DELETE', '/v1/organizations/brief/instances/one', undefined, {
      'if-match': made.headers.get('etag') ?? '*',
    });
    expect((await api.call('DELETE', '/v1/organizations/brief')).status).toBe(204);
    const tenants = async () =>
      (
        await database.query(
          "SELECT deleted_at IS NOT NULL AS dead, hash FROM felucca.desired WHERE kind = 'Tenant' AND key = 'brief' ORDER BY rev",
        )
      ).rows;
    expect(await tenants()).toEqual([{ dead: true, hash: '' }]);
    const revoked = await database.query(
      'SELECT count(*)::int AS keys FROM felucca.api_keys WHERE tenant_id = $1 AND revoked_at IS NOT NULL',
      [brief.id],
    );
    expect(revoked.rows).toEqual([{ keys: 1 }]);
    await api.call('POST', '/v1/organizations', { name: 'brief' });
    expect((await orderIn('brief', 'two')).status).toBe(202);
    expect((await tenants()).map((row) => row.dead)).toEqual([true, false]);
  });

  test('an organization that another process has deleted takes no order and no key, and its successor does', async () => {
    const other = await api.startAnother();
    const succeeded = async (name: string): Promise<{ former: string; successor: string }> => {
      const former = (await api.call('POST', '/v1/organizations', { name })).body.id;
      expect((await api.call('GET', `/v1/organizations/${name}`)).body.id).toBe(former);
      await other.call('DELETE', `/v1/organizations/${name}`);
      const successor = (await other.call('POST', '/v1/organizations', { name })).body.id;
      return { former, successor };
    };
    const addKey = (name: string) => api.call('POST', `/v1/organizations/${name}/api-keys`, { name: 'k' });
    try {
      const one = await succeeded('one-moved');
      const orders = [await orderIn('one-moved', 'site'), await orderIn('one-moved', 'site')];
      expect(orders.map(({ status }) => status)).toEqual([404, 202]);
      const two = await succeeded('two-moved');
      expect([(await addKey('two-moved')).status, (await addKey('two-moved')).status]).toEqual([404, 201]);
      const former = [[one.former, two.former]];
      for (const table of ['instances', 'api_keys'])
        expect(
          (await database.query(`SELECT FROM felucca.${table} WHERE tenant_id = ANY($1)`, former)).rows,
        ).toEqual([]);
      const { successor } = await succeeded('three-moved');
      const { key } = (await other.call('POST', '/v1/organizations/three-moved/api-keys', { name: 'k' }))
        .body;
      const seen = await api.call('GET', '/v1/organizations/three-moved', undefined, {}, key);
      expect(seen.body.id).toBe(successor);
    } finally {
      await other.stop();
    }
  });

  test('an order and the deletion of its organization never both succeed', async () => {
    for (let round = 0; round < 8; round += 1) {
      const name = `race-${round}`;
      await api.call('POST', '/v1/organizations', { name });
      const [made, gone] = await Promise.all([
        orderIn(name, 'site'),
        api.call('DELETE', `/v1/organizations/${name}`),
      ]);
      expect([made.status, gone.status]).not.toEqual([202, 204]);
      expect([202, 204]).toContain(made.status === 202 ? made.status : gone.status);
    }
  });

  test('a data plane is deleted once, however often at once it is asked for', async () => {
    await api.call('POST', '/v1/data-planes', { name: 'twice' });
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => api.call('DELETE', '/v1/data-planes/twice')),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 404, 404, 404, 404]);
    const { rows } = await database.query(
      "SELECT FROM felucca.audit WHERE object = 'data-plane/twice' AND action LIKE '%.delete'",
    );
    expect(rows).toHaveLength(1);
  });

  test('an organization and a data plane with Instances are kept', async () => {
    await order('kept');
    expect((await api.call('DELETE', '/v1/organizations/acme')).body.code).toBe('IN_USE');
    expect((await api.call('DELETE', '/v1/data-planes/dp')).body.code).toBe('IN_USE');
    expect((await api.call('GET', '/v1/data-planes/dp')).status).toBe(200);
  });
});

describe('blueprints', () => {
  test('the same content can be published again, other content under the same version cannot', async () => {
    expect((await api.call('POST', '/v1/blueprints', tinyBlueprint())).status).toBe(200);
    const other = await api.call('POST', '/v1/blueprints', { ...tinyBlueprint(), title: 'Other' });
    expect([other.status, other.body.code]).toEqual([409, 'IMMUTABLE']);
  });

  test('an error in a template is found at publish, with its path and what to do', async () => {
    const broken = tinyBlueprint('2.0.0');
    (broken.nodes[0] as { manifest: unknown }).manifest = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      data: { a: '${params.nowhere}' },
    };
    const reply = await api.call('POST', '/v1/blueprints', broken);
    expect(reply.status).toBe(422);
    expect(reply.body.errors[0]).toMatchObject({
      pointer: '/nodes/0/manifest/data/a',
      remedy: expect.any(String),
    });
  });
});

test('the served OpenAPI document is the committed one', async () => {
  const { readFileSync } = await import('node:fs');
  const committed = JSON.parse(readFileSync(new URL('../openapi.json', import.meta.url), 'utf8'));
  expect(await fetch(`${api.url}/openapi.json`).then((r) => r.json())).toEqual(committed);
});

test('a process whose key folder is a wrong one refuses to serve, and locks nobody out', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'felucca-no-keys-'));
  try {
    await expect(api.startAnother({ FELUCCA_KEY_DIR: folder })).rejects.toThrow(
      /exited with 1:\n.*FELUCCA_KEY_DIR is .*, where there is no signing-key\.pem, and this database was served with one/s,
    );
    // One that has been put together again from less than its backup.
    cpSync(join(api.keyDir, 'signing-key.pem'), join(folder, 'signing-key.pem'));
    for (const _ of ['at first', 'and when it is started again'])
      await expect(api.startAnother({ FELUCCA_KEY_DIR: folder })).rejects.toThrow(
        /FELUCCA_KEY_DIR is .*, where there is no role-secret, and this database was served with one/s,
      );
    expect(() => api.createKey({ FELUCCA_KEY_DIR: folder })).toThrow(
      /no role-secret.*set it to the key folder/s,
    );
    expect(readdirSync(folder)).toEqual(['signing-key.pem']);
    // With connections that it has to open first.
    await api.signal('SIGTERM');
    await api.restart();
    expect((await api.call('GET', '/v1/organizations/acme')).status).toBe(200);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a key given to the process is good from the start, also after its hash was of another folder; not when revoked', async () => {
  const id = randomUUID();
  const { key } = newKey(keyedHashFrom('of no matter whom'), {
    id,
    tenantId: PLATFORM_TENANT,
    scope: 'platform',
  });
  const status = async () => (await api.call('GET', '/v1/organizations', undefined, {}, key)).status;
  const startWithKey = async () => {
    await api.signal('SIGTERM');
    await api.restart({ FELUCCA_BOOTSTRAP_KEY: key });
  };
  await startWithKey();
  expect(await status()).toBe(200);
  await database.query("UPDATE felucca.api_keys SET secret_hash = sha256('x') WHERE id = $1", [id]);
  await startWithKey();
  expect(await status()).toBe(200);
  await api.call('DELETE', `/v1/api-keys/${id}`);
  await startWithKey();
  expect(await status()).toBe(401);
});

test('on SIGTERM it drains and exits with 0', async () => {
  expect(await api.signal('SIGTERM')).toBe(0);
  await api.restart();
});
