import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installedPostgres, type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { until } from './link-stage.ts';
import { ApiProcess } from './support/api-process.ts';

// Restores that meet each other, or are killed while pg_restore works.

/** What pg_restore makes waits for as long as the test holds this lock. */
const GATE = `
  CREATE FUNCTION public.wait_at_the_gate() RETURNS event_trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF current_setting('application_name') = 'felucca-restore' THEN
      PERFORM pg_advisory_xact_lock_shared(1);
    END IF;
  END $$;
  CREATE EVENT TRIGGER gate ON ddl_command_start EXECUTE FUNCTION public.wait_at_the_gate()`;

const installation = installedPostgres();
const folder = mkdtempSync(join(tmpdir(), 'felucca-interrupted-'));
const to = join(folder, 'monday');
const programs = { PATH: `${installation}/bin:${process.env['PATH']}` };

describe.skipIf(!installation)('a restore', () => {
  let server: PostgresServer;
  let url: string;
  let api: ApiProcess;
  let gate: pg.Client;
  beforeAll(async () => {
    server = await startPostgres({ name: 'admin-interrupted', installation: installation! });
    url = await server.createDatabase('felucca');
    await server.ask(GATE, 'felucca');
    gate = new pg.Client({ connectionString: url });
    await gate.connect();
    api = await ApiProcess.start(url);
    await api.call('POST', '/v1/organizations', { name: 'first' });
    expect(api.admin(['backup', '--to', to], programs)).toMatchObject({ status: 0 });
  });
  afterAll(async () => {
    await gate?.end();
    await api?.stop();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    await api.call('POST', '/v1/organizations', { name: 'second' });
    await api.signal('SIGTERM');
    await gate.query('SELECT pg_advisory_lock(1)');
  });
  const open = () => gate.query('SELECT pg_advisory_unlock_all()');
  afterEach(open);

  const organizations = async () =>
    (await api.call('GET', '/v1/organizations')).body.items.map((item: { name: string }) => item.name);
  const restore = (...more: string[]) => api.admin(['restore', '--from', to, ...more], programs);
  /** Its pg_restore has begun, and waits. */
  async function startRestore() {
    const started = api.startAdmin(['restore', '--from', to, '--replace'], programs);
    await until('pg_restore is at work', async () => (await loading()) === 1);
    return started;
  }
  const loading = async () =>
    (
      await gate.query(
        `SELECT FROM pg_stat_activity WHERE application_name = 'felucca-restore' AND wait_event = 'advisory'`,
      )
    ).rowCount;

  test('that meets another one is refused, as are new epochs, and changes nothing', async () => {
    const { ended } = await startRestore();
    for (const second of [restore('--replace'), api.admin(['new-epoch'])])
      expect(second).toMatchObject({
        status: 2,
        said: expect.stringMatching(/another process is changing the schema .*server process \d+/),
      });
    await open();
    expect(await ended).toMatchObject({ status: 0 });
    await api.restart();
    expect(await organizations()).toEqual(['first']);
  });

  test('that was killed is explained by whatever finds it, and taken back by the next one', async () => {
    const { child, ended } = await startRestore();
    child.kill('SIGKILL');
    await ended;
    const told =
      /was interrupted; what was there before it is in schema replaced_felucca.*run `felucca admin restore` again/s;
    expect(api.admin(['new-epoch']).said).toMatch(told);
    expect(api.admin(['backup', '--to', join(folder, 'none')], programs).said).toMatch(told);
    for (const FELUCCA_MIGRATE of ['1', '0'])
      await expect(api.restart({ FELUCCA_MIGRATE })).rejects.toThrow(told);
    expect(await loading()).toBe(1);
    expect(restore()).toMatchObject({
      status: 2,
      said: expect.stringMatching(
        /ended pg_restore of an interrupted restore\n.*has a schema of Felucca already/s,
      ),
    });
    expect(await loading()).toBe(0);
    await api.restart();
    expect(await organizations()).toEqual(['first', 'second']);
  });

  test('does not decide between what it restored and what it replaced, when both were left', async () => {
    await gate.query('CREATE SCHEMA replaced_felucca');
    expect(restore('--replace')).toMatchObject({
      status: 2,
      said: expect.stringMatching(
        /what it replaced is still in schema replaced_felucca\n {2}drop one of the two/,
      ),
    });
    expect(api.admin(['new-epoch'])).toMatchObject({
      status: 0,
      said: expect.stringMatching(/schema replaced_felucca is what an interrupted restore replaced/),
    });
    await gate.query('DROP SCHEMA replaced_felucca');
    await api.restart();
    expect(await organizations()).toEqual(['first', 'second']);
  });
});
