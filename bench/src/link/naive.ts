import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { digestOf } from '@felucca/contract';
import pg from 'pg';
import { Identity } from '../../agents/identity.ts';
import { perSecond, type Row, whole } from './row.ts';
import type { LinkStage } from './stage.ts';

/**
 * What most people would write first, beside ours in the same database: an event table with a bigserial, whose readers ask
 * for `id > last`, and NOTIFY in the transaction that writes.
 */
const WRITERS = 16;
const DATA_PLANES = 100;
/** A connection that listens for each agent, as the naive way has it; Postgres takes no more than a few hundred. */
const MANY_LISTENERS = 50;
const CHANNEL = 'naive_events';

interface Way {
  name: string;
  /** Whether the transaction writes its event where it happens, or last of all. */
  writes: 'first' | 'last';
  notifies: 'in the transaction' | 'beside it' | 'never';
  /** Writes one event, in the transaction that is open or in one of its own; its number. */
  write(client: pg.Client): Promise<string>;
  /** The numbers above `last`, of all readers; each keeps its own position. */
  read(client: pg.Client): Promise<string[]>;
}

export async function measureNaive(stage: LinkStage, forMs: number): Promise<Row[]> {
  await stage.seed(DATA_PLANES);
  await stage.admin.query(
    'CREATE TABLE IF NOT EXISTS public.naive_events (id bigserial PRIMARY KEY, data_plane int, payload text)',
  );
  const url = stage.databaseUrl;
  const ours = feed();
  const naive = bigserial('in the transaction');
  const rows: Row[] = [];
  for (const way of [ours, naive]) {
    const { committed, lost } = await countLost(url, way, forMs);
    rows.push({
      what: `${way.name}: lost of ${whole(committed)} commits by ${WRITERS} writers whose transactions overlap`,
      goal: way === ours ? '0' : '',
      measured: `${whole(lost)} (${((lost / committed) * 100).toFixed(1)} %)`,
      ...(way === ours ? { holds: lost === 0 } : {}),
    });
  }
  for (const [what, way, listeners] of [
    ['counter per data plane, NOTIFY by another connection', ours, 1],
    ['bigserial, no NOTIFY', bigserial('never'), 0],
    ['bigserial, NOTIFY in the transaction', naive, 1],
    [`the same with ${MANY_LISTENERS} connections that listen`, naive, MANY_LISTENERS],
  ] as const) {
    const commits = await countCommits(url, way, listeners, forMs);
    rows.push({
      what: `${what}: commits of ${WRITERS} writers`,
      goal: '',
      measured: `${whole(perSecond(commits, forMs))}/s`,
    });
  }
  return rows;
}

function bigserial(notifies: Way['notifies']): Way {
  let last = '0';
  const insert = 'INSERT INTO public.naive_events (data_plane, payload) VALUES ($1, $2) RETURNING id';
  const text =
    notifies === 'in the transaction'
      ? `WITH e AS (${insert}) SELECT id::text, pg_notify('${CHANNEL}', id::text) FROM e`
      : `${insert}::text`;
  return {
    name: 'bigserial cursor',
    writes: 'first',
    notifies,
    write: async (client) => {
      const values = [1, 'x'.repeat(350)];
      const { rows } = await client.query<{ id: string }>({ name: 'insert', text, values });
      return rows[0]!.id;
    },
    read: async (client) => {
      const { rows } = await client.query<{ id: string }>(
        'SELECT id::text FROM public.naive_events WHERE id > $1 ORDER BY id',
        [last],
      );
      last = rows.at(-1)?.id ?? last;
      return rows.map(({ id }) => id);
    },
  };
}

function feed(): Way {
  const ids = Array.from({ length: DATA_PLANES }, (_, agent) => new Identity(agent).dataPlaneId);
  const cursors = new Map<string, string>();
  let turn = 0;
  return {
    name: 'counter per data plane',
    writes: 'last',
    notifies: 'beside it',
    write: async (client) => {
      const dataPlane = ids[turn++ % ids.length]!;
      const spec = { payload: 'x'.repeat(320) };
      const change = {
        tenant_id: '00000000-0000-0000-0000-000000000000',
        kind: 'Instance',
        key: `naive/${randomBytes(8).toString('hex')}`,
        id: randomUUID(),
        generation: 1,
        hash: digestOf(spec),
        spec,
        kid: 'naive',
        sig: randomBytes(64).toString('base64url'),
        deleted: false,
      };
      const { rows } = await client.query<{ head: string }>({
        name: 'commit',
        text: 'SELECT felucca.feed_commit($1, $2::jsonb)::text AS head',
        values: [dataPlane, JSON.stringify([change])],
      });
      return `${dataPlane}/${rows[0]!.head}`;
    },
    read: async (client) => {
      const { rows } = await client.query<{ id: string; rev: string }>({
        name: 'read',
        text: `SELECT w.id, d.rev::text FROM unnest($1::uuid[], $2::bigint[]) AS w(id, since)
               JOIN felucca.desired d ON d.data_plane_id = w.id AND d.rev > w.since ORDER BY w.id, d.rev`,
        values: [ids, ids.map((id) => cursors.get(id) ?? '0')],
      });
      for (const { id, rev } of rows) cursors.set(id, rev);
      return rows.map(({ id, rev }) => `${id}/${rev}`);
    },
  };
}

/** Transactions take up to 20 ms, one in twenty 100, and one in ten rolls back. */
async function countLost(url: string, way: Way, forMs: number): Promise<{ committed: number; lost: number }> {
  const clients = await connected(url, WRITERS + 1);
  const reader = clients.pop()!;
  await way.read(reader);
  const committed: string[] = [];
  const seen = new Set<string>();
  let ended = false;
  const reading = (async () => {
    while (!ended) {
      for (const id of await way.read(reader)) seen.add(id);
      await delay(5);
    }
  })();
  const endMs = performance.now() + forMs;
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() < endMs) {
        const isSlow = Math.random() < 0.05;
        const rollsBack = Math.random() < 0.1;
        await client.query('BEGIN');
        const early = way.writes === 'first' ? await way.write(client) : undefined;
        await delay(isSlow ? 100 : Math.random() * 20);
        const id = early ?? (await way.write(client));
        await client.query(rollsBack ? 'ROLLBACK' : 'COMMIT');
        if (!rollsBack) committed.push(id);
      }
    }),
  );
  await delay(200);
  ended = true;
  await reading;
  for (const id of await way.read(reader)) seen.add(id);
  await Promise.all([...clients, reader].map((client) => client.end()));
  return { committed: committed.length, lost: committed.filter((id) => !seen.has(id)).length };
}

async function countCommits(url: string, way: Way, listeners: number, forMs: number): Promise<number> {
  const clients = await connected(url, WRITERS);
  const listening = await connected(url, listeners);
  for (const client of listening) await client.query(`LISTEN ${CHANNEL}`);
  const notifier = (await connected(url, 1))[0]!;
  let commits = 0;
  const endMs = performance.now() + forMs;
  // As an API process does, once for everything of 5 ms.
  const notifying = (async () => {
    while (way.notifies === 'beside it' && performance.now() < endMs) {
      await delay(5);
      await notifier.query(`SELECT pg_notify('${CHANNEL}', 'all')`);
    }
  })();
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() < endMs) {
        await way.write(client);
        commits += 1;
      }
    }),
  );
  await notifying;
  await Promise.all([...clients, ...listening, notifier].map((client) => client.end()));
  return commits;
}

async function connected(url: string, count: number): Promise<pg.Client[]> {
  const clients = Array.from({ length: count }, () => new pg.Client({ connectionString: url }));
  await Promise.all(clients.map((client) => client.connect()));
  return clients;
}
