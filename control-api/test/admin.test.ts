import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { installedPostgres, type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiProcess } from './support/api-process.ts';
import { tinyBlueprint } from './support/tiny-blueprint.ts';

/** Dumps need client programs as old as their server or newer. */
const installation = installedPostgres();
if (!installation)
  process.stderr.write('no Postgres with pg_dump is installed here: `felucca admin backup` is not tested\n');

const folder = mkdtempSync(join(tmpdir(), 'felucca-backup-'));
const to = join(folder, 'monday');
const programs = { PATH: `${installation}/bin:${process.env['PATH']}` };

interface Place {
  name: string;
  socket: string;
  port: string;
  password: string;
}

describe.skipIf(!installation)('`felucca admin`', () => {
  let server: PostgresServer;
  let url: string;
  let api: ApiProcess;
  beforeAll(async () => {
    server = await startPostgres({ name: 'admin', installation: installation! });
    url = await server.createDatabase('felucca');
    api = await ApiProcess.start(url);
    await api.call('POST', '/v1/organizations', { name: 'acme' });
    await api.call('POST', '/v1/data-planes', { name: 'dp' });
    await api.call('POST', '/v1/blueprints', tinyBlueprint());
    await order('first');
  });
  afterAll(async () => {
    await api?.stop();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const order = (name: string) =>
    api.call('POST', '/v1/organizations/acme/instances', {
      name,
      dataPlane: 'dp',
      blueprint: 'tiny',
      version: '1.0.0',
    });
  const names = async () =>
    (await api.call('GET', '/v1/organizations/acme/instances')).body.items.map(
      (item: { name: string }) => item.name,
    );
  const epochs = async () =>
    (await server.ask('SELECT epoch, head::int, epoch_base::int FROM felucca.feed_heads', 'felucca'))[0];
  const restore = (...more: string[]) => api.admin(['restore', '--from', to, ...more], programs);
  const restoreInto = (environment: Record<string, string>) =>
    api.admin(['restore', '--from', to], { ...programs, ...environment });

  /** A folder with a client program that does this. */
  const programOf = (name: string, does: string): string => {
    const bin = mkdtempSync(join(folder, 'bin-'));
    const script = `#!/bin/sh\n[ "$1" = --version ] && echo "${name} (PostgreSQL) 99.1" && exit 0\n${does}\n`;
    writeFileSync(join(bin, name), script, { mode: 0o755 });
    return bin;
  };

  test('a backup is a dump and a manifest of the same moment, and never half of one', async () => {
    const taken = api.admin(['backup', '--to', to], programs);
    expect(taken).toMatchObject({
      status: 0,
      said: expect.stringMatching(/^1 Instances of 1 organizations, \d+ bytes/),
    });
    const manifest = JSON.parse(readFileSync(join(to, 'manifest.json'), 'utf8'));
    const { epoch, head } = (await epochs())!;
    expect(manifest).toMatchObject({
      format: 1,
      rows: { organizations: 1, instances: 1, blueprints: 1 },
      dataPlanes: [{ name: 'dp', epoch, head: String(head) }],
      signingKey: expect.stringMatching(/^fs_/),
    });
    expect(api.admin(['backup', '--to', to], programs)).toMatchObject({ status: 2 });
    const none = api.admin(['backup', '--to', join(folder, 'none')], { PATH: folder });
    expect(none.said).toMatch(/pg_dump was not found\n {2}install the Postgres \d+ client programs/);
    const tenant = url.replace(/postgres:\/\/[^@]*@/, 'postgres://felucca_owner:x@');
    await server.ask(`ALTER ROLE felucca_owner LOGIN PASSWORD 'x'`);
    const blind = api.admin(['backup', '--to', join(folder, 'blind')], { ...programs, DATABASE_URL: tenant });
    expect(blind.said).toMatch(/role "felucca_owner" does not see the rows of all tenants/);
  });

  test.each([
    ['new-epoch', []],
    ['backup', ['--to', join(folder, 'nothing')]],
  ])('%s of a database that has no Felucca is refused, and changes nothing', async (command, more) => {
    const DATABASE_URL = await server.createDatabase(`no-felucca-${command}`);
    expect(api.admin([command, ...more], { ...programs, DATABASE_URL })).toMatchObject({
      status: 2,
      said: expect.stringMatching(/there is no Felucca in this database\n {2}is DATABASE_URL right\?/),
    });
    const [made] = await server.ask(
      `SELECT to_regclass('public.felucca_migrations') AS migrations, to_regnamespace('felucca') AS schema`,
      `no-felucca-${command}`,
    );
    expect(made).toEqual({ migrations: null, schema: null });
    expect(existsSync(join(folder, 'nothing'))).toBe(false);
  });

  test('a backup that fails leaves no folder in the way of the next one', () => {
    const PATH = `${programOf('pg_dump', 'echo no room >&2; exit 1')}:${programs.PATH}`;
    const args = ['backup', '--to', join(folder, 'failed')];
    expect(api.admin(args, { PATH }).said).toMatch(/pg_dump failed: no room/);
    expect(existsSync(join(folder, 'failed'))).toBe(false);
  });

  test('a restore is refused while the API runs, over a database, of a damaged dump, and with another key', async () => {
    expect(restore().said).toMatch(
      /API processes are connected to this database .*\n {2}stop control-api first/,
    );
    await api.signal('SIGTERM');
    expect(restore().said).toMatch(/has a schema of Felucca already/);
    const other = mkdtempSync(join(folder, 'keys-'));
    writeFileSync(
      join(other, 'signing-key.pem'),
      generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
    );
    expect(
      api.admin(['restore', '--from', to, '--replace'], { ...programs, FELUCCA_KEY_DIR: other }).said,
    ).toMatch(/FELUCCA_KEY_DIR is .*, where there is no role-secret\n {2}set it to/);
    writeFileSync(join(other, 'role-secret'), 'another');
    expect(
      api.admin(['restore', '--from', to, '--replace'], { ...programs, FELUCCA_KEY_DIR: other }).said,
    ).toMatch(/rows of this backup are signed with key fs_\S+, and FELUCCA_KEY_DIR has fs_/);
    const dump = join(to, 'felucca.dump');
    const whole = readFileSync(dump);
    writeFileSync(dump, whole.subarray(0, whole.length - 1));
    expect(restore('--replace').said).toMatch(/felucca.dump is not the file that its manifest tells of/);
    writeFileSync(dump, whole);
    await api.restart();
    expect(await names()).toEqual(['first']);
  });

  test.each(['backup', 'restore'])('a %s makes no key, whatever FELUCCA_KEY_DIR is', (command) => {
    const more = command === 'backup' ? ['--to', join(folder, 'keyless')] : ['--from', to, '--replace'];
    const empty = mkdtempSync(join(folder, 'empty-'));
    for (const FELUCCA_KEY_DIR of [empty, join(empty, 'mistyped')]) {
      const answer = api.admin([command, ...more], { ...programs, FELUCCA_KEY_DIR });
      expect(answer).toMatchObject({
        status: 2,
        said: expect.stringMatching(
          /FELUCCA_KEY_DIR is .*, where there is no signing-key\.pem\n {2}set it to/,
        ),
      });
    }
    expect(readdirSync(empty)).toEqual([]);
    expect(existsSync(join(folder, 'keyless'))).toBe(false);
  });

  test.each([
    [['differences', 'local', 'west'], /does not know what to do with "west"/],
    [['held', '--yes'], /held does not take --yes/],
    [['backup', '--to'], /--to <value>.* argument missing/],
    [['adopt', 'dp', '--all', '0192'], /adopt was given both --all and "0192"\n {2}say --all, or name ids/],
    [['adopt', 'dp', '--alll'], /Unknown option '--alll'\n {2}see felucca admin help/],
  ])('%j is refused: nothing that somebody typed goes unheeded', (args, said) => {
    expect(api.admin(args)).toMatchObject({ status: 2, said: expect.stringMatching(said) });
  });

  test.each([
    ['nonsense', /DATABASE_URL is not the URL of a Postgres database/],
    [
      'postgres://a@127.0.0.1:1/x',
      /no connection to the database at 127\.0\.0\.1:1: .*\n {2}is the server up/,
    ],
  ])('DATABASE_URL=%s is explained', (DATABASE_URL, said) => {
    expect(api.admin(['new-epoch'], { DATABASE_URL })).toMatchObject({
      status: 2,
      said: expect.stringMatching(said),
    });
  });

  test.each([
    [
      'in its query',
      (at: Place) =>
        `postgres://postgres:${at.password}@localhost:1/${at.name}?host=${at.socket}&port=${at.port}`,
    ],
    [
      'as a host',
      (at: Place) =>
        `postgres://postgres:${at.password}@${encodeURIComponent(at.socket)}:${at.port}/${at.name}`,
    ],
    [
      'with a role and no host',
      (at: Place) => `postgres://postgres:${at.password}@/${at.name}?host=${at.socket}&port=${at.port}`,
    ],
    [
      'alone',
      (at: Place) =>
        `postgres:///${at.name}?host=${at.socket}&port=${at.port}&user=postgres&password=${at.password}`,
    ],
  ])(
    'a database is restored, backed up and served by the socket that its URL names %s',
    async (how, urlOf) => {
      const name = `elsewhere ${how.length}`;
      const { port, password } = new URL(await server.createDatabase(name));
      const socket = dirname(server.dataDir);
      const DATABASE_URL = urlOf({ name: encodeURIComponent(name), socket, port, password });
      expect(restoreInto({ DATABASE_URL })).toMatchObject({ status: 0 });
      const [row] = await server.ask('SELECT count(*)::int AS count FROM felucca.instances', name);
      expect(row).toEqual({ count: 1 });
      const again = join(folder, `again-${how.length}`);
      expect(api.admin(['backup', '--to', again], { ...programs, DATABASE_URL })).toMatchObject({
        status: 0,
      });
      const manifestOf = (path: string) => JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8'));
      expect(manifestOf(again).rows).toEqual(manifestOf(to).rows);
      const served = await api.startAnother({ DATABASE_URL });
      await served.stop();
    },
  );

  test.each([
    ['fails', 'echo no room >&2; exit 1', /pg_restore failed: no room/],
    ['restores elsewhere', 'exit 0', /what it restored is not in this database/],
  ])('what was there stays when pg_restore %s', async (how, end, said) => {
    await order(how.replace(' ', '-'));
    const before = await names();
    await api.signal('SIGTERM');
    const PATH = `${programOf('pg_restore', end)}:${programs.PATH}`;
    const answer = api.admin(['restore', '--from', to, '--replace'], { PATH });
    expect(answer).toMatchObject({ status: 2, said: expect.stringMatching(said) });
    await api.restart();
    expect(await names()).toEqual(before);
  });

  test('an empty database is empty again after a restore that failed', async () => {
    const DATABASE_URL = await server.createDatabase('empty');
    const PATH = `${programOf('pg_restore', 'exit 1')}:${programs.PATH}`;
    expect(restoreInto({ DATABASE_URL, PATH })).toMatchObject({ status: 2 });
    const [left] = await server.ask(
      `SELECT to_regclass('public.felucca_migrations') AS migrations, to_regnamespace('felucca') AS schema,
              to_regnamespace('replaced_felucca') AS replaced`,
      'empty',
    );
    expect(left).toEqual({ migrations: null, schema: null, replaced: null });
  });

  // Invariant L10.
  test('a restore puts the state of the backup back under a new epoch, and says what to do next', async () => {
    const before = (await epochs())!;
    await api.signal('SIGTERM');
    const done = restore('--replace');
    expect(done.status).toBe(0);
    expect(done.said).toMatch(
      /restored the state of .*\nnew epochs for 1 data planes.*\nNext:\n {2}1\. start control-api/,
    );
    const after = (await epochs())!;
    expect(after['epoch']).not.toBe(before['epoch']);
    expect(after['head']).toBeLessThan(before['head'] as number);
    expect(after['epoch_base']).toBe(after['head']);
    await api.restart();
    expect(await names()).toEqual(['first']);
    expect((await epochs())!['epoch']).toBe(after['epoch']);
    const { body } = await order('third');
    expect(body.operation.state).toBe('accepted');
  });

  // Invariant L10.
  test('a dump that somebody puts back by other means begins a new epoch when the API starts', async () => {
    const before = (await epochs())!;
    await api.signal('SIGTERM');
    await server.ask('DELETE FROM felucca.feed_lineage', 'felucca');
    await api.restart();
    expect((await epochs())!['epoch']).not.toBe(before['epoch']);
  });
});
