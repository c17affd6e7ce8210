import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  closeSync,
  cpSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { migrate, migrationsFolder } from '../src/db/migrate.ts';
import { until } from './link-stage.ts';
import { ApiProcess, type Reply } from './support/api-process.ts';
import { FollowedFeed } from './support/followed-feed.ts';
import { tinyBlueprint } from './support/tiny-blueprint.ts';

// D8, D11, D12: what a real disk and a real migration do to a control plane that works.

const INSTANCES = '/v1/organizations/acme/instances';
const SMALL_MIB = 160;
const BALLAST = 'ballast';

/** A file system that is soon full; undefined where nobody may mount one. */
function smallDisk(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'felucca-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_MIB}m`, 'tmpfs', folder], { stdio: 'pipe' });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
}
const [dataDisk, logDisk] = [smallDisk(), smallDisk()];
if (!dataDisk || !logDisk)
  process.stderr.write('no file system can be mounted here: D8 (a full disk) is not tested\n');

let server: PostgresServer;
let url: string;
let api: ApiProcess;
let feed: FollowedFeed;
let made = 0;

beforeAll(async () => {
  // Small, so that the disk can be filled; a row in it must be on it before it is acknowledged.
  const settings = { fsync: 'on', full_page_writes: 'on', max_wal_size: '64MB', min_wal_size: '32MB' };
  server = await startPostgres({ name: 'disk-faults', settings });
  if (logDisk) await logOn(logDisk);
  url = await server.createDatabase('felucca');
  if (dataDisk) {
    own(dataDisk);
    await server.ask(`CREATE TABLESPACE small LOCATION '${dataDisk}'`);
    await server.ask('ALTER DATABASE felucca SET TABLESPACE small');
  }
  api = await ApiProcess.start(url);
  await api.call('POST', '/v1/organizations', { name: 'acme' });
  await api.call('POST', '/v1/data-planes', { name: 'dp' });
  await api.call('POST', '/v1/blueprints', bulky());
  feed = await FollowedFeed.join(api);
});
afterEach(() => freeDisks());
afterAll(async () => {
  feed?.close();
  await api?.stop();
  await server?.stop();
  for (const disk of [dataDisk, logDisk]) {
    if (!disk) continue;
    execFileSync('umount', ['--lazy', disk]);
    rmSync(disk, { recursive: true, force: true });
  }
});

/** The server runs under an account of its own. */
function own(path: string): void {
  const { uid, gid } = statSync(server.dataDir);
  chownSync(path, uid, gid);
}
/** The write-ahead log moves there. */
async function logOn(folder: string): Promise<void> {
  own(folder);
  await server.kill();
  const [log, there] = [join(server.dataDir, 'pg_wal'), join(folder, 'wal')];
  cpSync(log, there, { recursive: true });
  renameSync(log, `${log}.before`);
  for (const path of ['', ...readdirSync(there, { recursive: true })]) own(join(there, String(path)));
  symlinkSync(there, log);
  await server.restart();
}
/** Not one more page fits. */
function fill(disk: string): void {
  const file = openSync(join(disk, BALLAST), 'w');
  const chunk = Buffer.alloc(64 * 1024, 1);
  try {
    for (;;) writeSync(file, chunk);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(file);
  }
}
function freeDisks(): void {
  for (const disk of [dataDisk, logDisk]) if (disk) rmSync(join(disk, BALLAST), { force: true });
}

/** Enough in each order that pages, and segments of the log, are soon used up. */
const BULK = 20_000;
function bulky(): object {
  const { parameters, ...rest } = tinyBlueprint() as { parameters: { properties: object } };
  const text = { type: 'string', maxLength: BULK * 2 };
  return {
    ...rest,
    name: 'bulky',
    parameters: { ...parameters, properties: { ...parameters.properties, text } },
  };
}
const order = (): Promise<Reply & { name: string }> => {
  made += 1;
  const name = `i${made}`;
  const parameters = { text: randomBytes(BULK).toString('base64') };
  return api
    .call('POST', INSTANCES, { name, dataPlane: 'dp', blueprint: 'bulky', version: '1.0.0', parameters })
    .then((reply) => ({ ...reply, name }));
};
const arrives = (name: string, timeoutMs = 60_000): Promise<unknown> => feed.arrives(name, timeoutMs);

interface Outcome {
  acknowledged: string[];
  refused: { status: number; retryAfter: string | null }[];
}
/** Orders one after the other while `trouble` lasts; an order that gets no answer at all counts as refused. */
async function ordering(writers: number, trouble: () => Promise<void>): Promise<Outcome> {
  const outcome: Outcome = { acknowledged: [], refused: [] };
  let isOver = false;
  const all = Array.from({ length: writers }, async () => {
    while (!isOver) {
      const { status, headers, name } = await order();
      if (status === 202) outcome.acknowledged.push(name);
      else {
        outcome.refused.push({ status, retryAfter: headers.get('retry-after') });
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  });
  try {
    await trouble();
  } finally {
    isOver = true;
    await Promise.all(all);
  }
  return outcome;
}
/** What was acknowledged arrives, what was refused was told when to come again, and the next order is taken. */
async function holds({ acknowledged, refused }: Outcome): Promise<void> {
  for (const { status, retryAfter } of refused)
    expect([status, retryAfter]).toEqual([503, expect.any(String)]);
  const next = await until(
    'an order is taken',
    async () => {
      const reply = await order();
      return reply.status === 202 && reply;
    },
    60_000,
  );
  for (const name of [...acknowledged, next.name]) await arrives(name);
}
const seconds = (count: number) => new Promise<void>((resolve) => setTimeout(resolve, count * 1_000));

describe.skipIf(!dataDisk || !logDisk)('a full disk', () => {
  // Invariant L1.
  test.each([
    ['tables', dataDisk],
    ['the write-ahead log', logDisk],
  ])(
    'D8: of %s: refuses orders with a time to come again, loses none that it took, and works when there is room',
    async (_, disk) => {
      const outcome = await ordering(4, async () => {
        await seconds(1);
        fill(disk!);
        await until('an order is refused', async () => (await order()).status !== 202, 60_000);
        await seconds(3);
        freeDisks();
        // Where the log had no room Postgres has ended; whoever runs it starts it again.
        await server.ask('SELECT 1').catch(() => server.restart());
      });
      expect(outcome.acknowledged.length).toBeGreaterThan(0);
      expect(outcome.refused.length).toBeGreaterThan(0);
      await holds(outcome);
    },
  );
});

describe('a disk that stands still', () => {
  /** All of its processes: each backend is the leader of a group of its own. */
  const signalServer = (signal: NodeJS.Signals): void => {
    const [first = ''] = readFileSync(join(server.dataDir, 'postmaster.pid'), 'utf8').split('\n');
    const parentOf = (pid: string): string | undefined => {
      try {
        return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1];
      } catch {
        return undefined;
      }
    };
    const backends = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === first);
    for (const pid of [first, ...backends]) process.kill(Number(pid), signal);
  };

  // Invariant L1.
  test('D11: a database that answers nothing for a while: requests end in time, nothing is lost, and all goes on', async () => {
    let longestMs = 0;
    const outcome = await ordering(4, async () => {
      await seconds(1);
      signalServer('SIGSTOP');
      try {
        const startMs = performance.now();
        const { status } = await order();
        longestMs = performance.now() - startMs;
        expect(status).toBe(503);
        // Alive, and not ready: a load balancer sends nobody here, and nobody restarts it.
        expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
        expect((await fetch(`${api.url}/readyz`)).status).toBe(503);
      } finally {
        signalServer('SIGCONT');
      }
    });
    expect(longestMs).toBeLessThan(15_000);
    await holds(outcome);
  });
});

describe('a migration', () => {
  const folder = mkdtempSync(join(tmpdir(), 'felucca-migrations-'));
  cpSync(migrationsFolder(), folder, { recursive: true });
  const number = String(readdirSync(folder).length + 1).padStart(4, '0');
  const file = `${number}-of-a-later-version.sql`;
  const put = (sql: string) => execFileSync('sh', ['-c', 'cat > "$0"', join(folder, file)], { input: sql });
  const CHANGE = `ALTER TABLE felucca.instances ADD COLUMN later text;
    ALTER TABLE felucca.instances NO FORCE ROW LEVEL SECURITY;
    UPDATE felucca.instances SET later = name;
    ALTER TABLE felucca.instances FORCE ROW LEVEL SECURITY;
    SELECT pg_sleep(1);`;
  afterAll(() => rmSync(folder, { recursive: true }));

  // Invariant L1.
  test('D12: that fails at its end is as if it had not been, for those who order meanwhile, too; then it is made', async () => {
    const columns = async () =>
      (
        await server.ask(
          `SELECT column_name FROM information_schema.columns WHERE table_name = 'instances'`,
          'felucca',
        )
      ).map(({ column_name }) => column_name);
    const outcome = await ordering(4, async () => {
      await seconds(1);
      put(`${CHANGE} SELECT 1 / 0;`);
      await expect(migrate({ url, folder })).rejects.toThrow(
        new RegExp(`${number}-of-a-later-version.* failed: division by zero`),
      );
      expect(await columns()).not.toContain('later');
      put(CHANGE);
      expect(await migrate({ url, folder })).toBe(1);
      await seconds(1);
    });
    expect(await columns()).toContain('later');
    expect(outcome.acknowledged.length).toBeGreaterThan(20);
    await holds(outcome);
  });
});
