import { createPublicKey, randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { APP_ROLE, derivePasswords, FEED_ROLE, urlAs } from '../src/db/role-passwords.ts';
import { requireKeys } from '../src/feed/require-keys.ts';
import { type RowSigner, SIGNING_KEY_FILES, signerFromFolder } from '../src/feed/signer.ts';
import { ApiProcess } from './support/api-process.ts';
import { tinyBlueprint } from './support/tiny-blueprint.ts';

// A key folder that is not the one that the database's rows are signed with, as after a restore.

let server: PostgresServer;
let url: string;
let database: pg.Client;
let api: ApiProcess;
/** What the database was served with. */
const right = mkdtempSync(join(tmpdir(), 'felucca-right-keys-'));
/** The same but for the key that signs; every test has it anew. */
let wrong: string;
let [ours, strange]: RowSigner[] = [];

const pem = (folder: string, file: keyof typeof SIGNING_KEY_FILES): string =>
  join(folder, SIGNING_KEY_FILES[file]);
const restart = async (more: Record<string, string>): Promise<void> => {
  await api.signal('SIGTERM');
  await api.restart(more);
};
const order = async (name: string, dataPlane = 'dp') =>
  api.call('POST', '/v1/organizations/acme/instances', {
    name,
    dataPlane,
    blueprint: 'tiny',
    version: '1.0.0',
  });
/** Who signed what of a data plane, and when it last travelled. */
async function feedOf(dataPlane: string): Promise<Record<string, { kid: string; rev: string }>> {
  const { rows } = await database.query(
    `SELECT d.kind, d.kid, d.rev FROM felucca.desired d JOIN felucca.data_planes p ON p.id = d.data_plane_id
      WHERE p.name = $1 AND (d.kind <> 'Instance' OR d.key = 'acme/first')`,
    [dataPlane],
  );
  return Object.fromEntries(rows.map(({ kind, kid, rev }) => [kind, { kid, rev }]));
}
const kidsOf = async (dataPlane: string): Promise<Record<string, string>> =>
  Object.fromEntries(Object.entries(await feedOf(dataPlane)).map(([kind, { kid }]) => [kind, kid]));

beforeAll(async () => {
  server = await startPostgres({ name: 'strange-keys' });
  url = await server.createDatabase('felucca');
  database = new pg.Client({ connectionString: url });
  await database.connect();
  api = await ApiProcess.start(url, { FELUCCA_KEY_DIR: right });
  ours = await signerFromFolder(right);
  await api.call('POST', '/v1/organizations', { name: 'acme' });
  await api.call('POST', '/v1/data-planes', { name: 'dp' });
  await api.call('POST', '/v1/blueprints', tinyBlueprint());
  expect((await order('first')).status).toBe(202);
});
afterAll(async () => {
  await database?.end();
  await api?.stop();
  await server?.stop();
  rmSync(right, { recursive: true });
});
beforeEach(async () => {
  wrong = mkdtempSync(join(tmpdir(), 'felucca-wrong-keys-'));
  cpSync(right, wrong, { recursive: true });
  rmSync(pem(wrong, 'signs'));
  strange = await signerFromFolder(wrong);
  return () => rmSync(wrong, { recursive: true });
});

describe('a process whose key folder has none of the keys that the rows are signed with', () => {
  const said = () =>
    new RegExp(
      `exited with 1:\\n.*FELUCCA_KEY_DIR is ${wrong}, which has ${strange!.kid}, and the rows of this database are ` +
        `signed with ${ours!.kid}: .*signing-key-previous\\.pem.*docs/runbooks/signing-keys\\.md`,
      's',
    );

  test('refuses to serve, and locks nobody out', async () => {
    writeFileSync(join(wrong, 'role-secret'), randomBytes(32).toString('base64url'));
    await expect(api.startAnother({ FELUCCA_KEY_DIR: wrong })).rejects.toThrow(said());
    // With connections that it has to open first.
    await restart({});
    expect((await api.call('GET', '/v1/organizations/acme')).status).toBe(200);
  });

  test('refuses as well when somebody else migrates', async () => {
    const passwords = await derivePasswords(right);
    const as = (role: string) => urlAs(url, role, passwords[role] ?? '');
    const managed = {
      FELUCCA_MIGRATE: '0',
      FELUCCA_APP_DATABASE_URL: as(APP_ROLE),
      FELUCCA_FEED_DATABASE_URL: as(FEED_ROLE),
    };
    await expect(api.startAnother({ ...managed, FELUCCA_KEY_DIR: wrong })).rejects.toThrow(said());
    rmSync(pem(wrong, 'signs'));
    await expect(api.startAnother({ ...managed, FELUCCA_KEY_DIR: wrong })).rejects.toThrow(
      /where there is no signing-key\.pem/,
    );
    const other = await api.startAnother(managed);
    await other.stop();
  });

  test('refuses as well when row-level security holds whoever migrates', async () => {
    await database.query("CREATE ROLE migrates LOGIN PASSWORD 'm' IN ROLE felucca_owner");
    const client = new pg.Client({ connectionString: urlAs(url, 'migrates', 'm') });
    await client.connect();
    try {
      await requireKeys(client, { keyDir: right, lostSigningKeys: [] });
      await expect(requireKeys(client, { keyDir: wrong, lostSigningKeys: [] })).rejects.toThrow(ours!.kid);
    } finally {
      await client.end();
    }
  });

  test('serves when somebody has said that just that key is lost', async () => {
    const more = (kid: string) => ({ FELUCCA_KEY_DIR: wrong, FELUCCA_LOST_SIGNING_KEYS: kid });
    await expect(api.startAnother(more('fs_other'))).rejects.toThrow(said());
    const other = await api.startAnother(more(`fs_other,${ours!.kid}`));
    await other.stop();
  });
});

describe('a process serves', () => {
  test.each(['next', 'previous'] as const)(
    'while keys change, with the other key as the %s',
    async (file) => {
      const half = createPublicKey(readFileSync(pem(right, 'signs'))).export({ type: 'spki', format: 'pem' });
      writeFileSync(pem(wrong, file), half);
      const other = await api.startAnother({ FELUCCA_KEY_DIR: wrong });
      await other.stop();
    },
  );

  test('with a key that it has told an operator to trust, when the one before is lost', async () => {
    const spec = JSON.stringify({ signingKeys: [{ kid: strange!.kid, publicKey: 'x' }] });
    const says = (joined: string) =>
      database.query(`UPDATE felucca.data_planes SET spec = $1, joined_at = ${joined}`, [spec]);
    await says('NULL');
    await expect(api.startAnother({ FELUCCA_KEY_DIR: wrong })).rejects.toThrow(/rows of this database/);
    await says('now()');
    const other = await api.startAnother({ FELUCCA_KEY_DIR: wrong });
    await other.stop();
    await database.query("UPDATE felucca.data_planes SET spec = '{}', joined_at = NULL");
  });

  test('when its key signed the oldest or the newest rows of any data plane', async () => {
    const lost = { FELUCCA_KEY_DIR: wrong, FELUCCA_LOST_SIGNING_KEYS: ours!.kid };
    const other = await api.startAnother(lost);
    await other.call('POST', '/v1/data-planes', { name: 'mixed' });
    await other.stop();
    for (const folder of [right, wrong]) await requireKeys(database, { keyDir: folder, lostSigningKeys: [] });
    await api.call('DELETE', '/v1/data-planes/mixed');
    await expect(requireKeys(database, { keyDir: wrong, lostSigningKeys: [] })).rejects.toThrow();
  });
});

describe('what a process with other keys has signed', () => {
  test('is signed anew by the next order that needs it, once, and the data plane’s own row by an announcement', async () => {
    const lost = { FELUCCA_KEY_DIR: wrong, FELUCCA_LOST_SIGNING_KEYS: ours!.kid };
    await restart(lost);
    await api.call('POST', '/v1/data-planes', { name: 'later' });
    expect((await order('lost', 'later')).status).toBe(202);
    await api.call('POST', '/v1/signing-keys/announce');
    const theirs = { DataPlane: strange!.kid, Blueprint: strange!.kid, Tenant: strange!.kid };
    expect(await kidsOf('later')).toEqual(theirs);
    await restart({});
    expect((await order('ours', 'later')).status).toBe(202);
    expect(await kidsOf('later')).toEqual({ ...theirs, Blueprint: ours!.kid, Tenant: ours!.kid });
    const once = await feedOf('later');
    await order('another', 'later');
    expect(await feedOf('later')).toEqual(once);
    const announced = async () => (await api.call('POST', '/v1/signing-keys/announce')).body.announced;
    expect(await announced()).toEqual(['dp', 'later']);
    expect((await kidsOf('later'))['DataPlane']).toBe(ours!.kid);
    // Also when it says what it should, and is only signed with another key.
    await database.query("UPDATE felucca.desired SET kid = 'fs_strange' WHERE kind = 'DataPlane'");
    expect(await announced()).toEqual(['dp', 'later']);
    expect(await announced()).toEqual([]);
  });

  test('is signed anew by a change as well, with a signature that holds', async () => {
    await database.query(
      "UPDATE felucca.desired SET kid = 'fs_strange', sig = 'none' WHERE kind IN ('Blueprint', 'Tenant')",
    );
    expect((await api.call('POST', '/v1/organizations/acme/instances/first/suspend')).status).toBe(202);
    const { rows } = await database.query(
      `SELECT d.data_plane_id AS "dataPlaneId", d.kind, d.key, d.id, d.generation::int, d.hash, d.kid, d.sig, false AS deleted
         FROM felucca.desired d JOIN felucca.data_planes p ON p.id = d.data_plane_id
        WHERE p.name = 'dp' AND d.kind IN ('Blueprint', 'Tenant')`,
    );
    expect(rows.map((row) => ours!.wasSigned(row, row.kid, row.sig))).toEqual([true, true]);
  });

  test('is left alone while its key is known: processes with different keys would take turns', async () => {
    renameSync(pem(wrong, 'signs'), pem(wrong, 'previous'));
    cpSync(pem(right, 'signs'), pem(wrong, 'signs'));
    await database.query("UPDATE felucca.desired SET kid = $1 WHERE kind IN ('Blueprint', 'Tenant')", [
      strange!.kid,
    ]);
    const before = await feedOf('dp');
    await restart({ FELUCCA_KEY_DIR: wrong });
    await order('calm');
    await api.call('POST', '/v1/organizations/acme/instances/calm/suspend');
    expect(await feedOf('dp')).toEqual(before);
    await restart({});
  });
});
