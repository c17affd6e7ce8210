import { generateKeyPairSync, type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestOf, type FeedKind, type JoinReply, PROTO, type ReportInput } from '@felucca/contract';
import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import type { FastifyInstance } from 'fastify';
import { SignJWT } from 'jose';
import pg from 'pg';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { buildApp } from '../src/app.ts';
import { keyedHashFromFolder } from '../src/db/keyed-hash.ts';
import { migrate } from '../src/db/migrate.ts';
import { openDatabase } from '../src/db/pool.ts';
import { PLATFORM_TENANT } from '../src/db/tenant.ts';
import type { FeedSettings } from '../src/feed/service.ts';
import { type RowSigner, signerFromFolder } from '../src/feed/signer.ts';
import type { ReportLimits } from '../src/feedback/plugin.ts';
import { type Link, openLink } from '../src/link/open-link.ts';
import { outputKeyFromFolder } from '../src/link/output-key.ts';
import { newJoinToken } from '../src/resources/data-planes/join-tokens.ts';
import { createOrganizationLookUp } from '../src/resources/organizations/scope.ts';

/** One API process: its own pools, hub and listener, on a port of its own. */
export interface ApiProcess {
  url: string;
  link: Link;
  registry: Registry;
  /** Logged messages, newest last. */
  logs: string[];
  stop(): Promise<void>;
}

export interface Change {
  tenantId?: string;
  kind?: FeedKind;
  key: string;
  id: string;
  generation?: number;
  spec?: object;
  deleted?: boolean;
}

/** Real Postgres with the real migrations and roles, and as many API processes as a test wants. */
export interface Stage {
  postgres: PostgresServer;
  /** Superuser: what a test sees and breaks. */
  admin: pg.Pool;
  signer: RowSigner;
  /** A pool of the feed's role, as an API process has it. */
  asFeed(): pg.Pool;
  startApi(
    settings?: Partial<FeedSettings>,
    reportLimits?: Partial<ReportLimits>,
    nowMs?: () => number,
  ): Promise<ApiProcess>;
  createDataPlane(): Promise<string>;
  createOrganization(name?: string): Promise<{ id: string; name: string }>;
  createJoinToken(dataPlaneId: string, expiresInSeconds?: number): Promise<string>;
  /** Writes rows as a business transaction would; the new head. */
  commit(dataPlaneId: string, ...changes: Change[]): Promise<bigint>;
  stop(): Promise<void>;
}

const TEST_PASSWORDS = { felucca_app: 'app-in-test', felucca_feed: 'feed-in-test' };

export async function startStage(name: string): Promise<Stage> {
  const postgres = await startPostgres({ name });
  const database = await postgres.createDatabase('felucca');
  await migrate({ url: database, rolePasswords: TEST_PASSWORDS });
  const admin = new pg.Pool({ connectionString: database, max: 40 });
  admin.on('error', () => {});
  const folder = await mkdtemp(join(tmpdir(), 'felucca-link-'));
  const signer = await signerFromFolder(folder);
  const hash = await keyedHashFromFolder(folder);
  const outputKey = await outputKeyFromFolder(folder);
  const running: ApiProcess[] = [];
  const as = (role: keyof typeof TEST_PASSWORDS): string => {
    const url = new URL(database);
    url.username = role;
    url.password = TEST_PASSWORDS[role];
    return url.toString();
  };

  const stage: Stage = {
    postgres,
    admin,
    signer,
    asFeed: () => {
      const pool = new pg.Pool({ connectionString: as('felucca_feed') });
      // Of connections that are idle when the server ends.
      pool.on('error', () => {});
      return pool;
    },
    startApi: async (settings = {}, reportLimits = {}, nowMs = () => performance.now()) => {
      const logs: string[] = [];
      const logger = pino({ level: 'warn' }, { write: (line) => void logs.push(line) });
      const registry = new Registry();
      const db = openDatabase({ appUrl: as('felucca_app'), feedUrl: as('felucca_feed'), onError: () => {} });
      const link = await openLink({
        db,
        signer,
        hash,
        outputKey,
        registry,
        logger,
        random: Math.random,
        nowMs,
        now: () => new Date(),
        settings: { tickMs: 100, ...settings },
        reportLimits,
      });
      const app: FastifyInstance = await buildApp({
        services: {
          db,
          signer,
          hash,
          outputKey,
          wake: link.wake,
          authenticate: () => Promise.reject(new Error('no API keys in this test')),
          organizationNamed: createOrganizationLookUp(db, () => performance.now()),
          newId: () => randomUUID(),
          now: () => new Date(),
          draining: new AbortController().signal,
        },
        registry,
        logger,
        draining: () => false,
        link: link.register,
      });
      await app.listen({ port: 0, host: '127.0.0.1' });
      await link.start();
      const process: ApiProcess = {
        url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`,
        link,
        registry,
        logs,
        stop: async () => {
          running.splice(running.indexOf(process), 1);
          await link.drain();
          await app.close();
          await db.close();
        },
      };
      running.push(process);
      return process;
    },
    createDataPlane: async () => {
      const id = randomUUID();
      await admin.query('INSERT INTO felucca.data_planes (id, name) VALUES ($1, $2)', [
        id,
        `dp-${id.slice(0, 18)}`,
      ]);
      await admin.query('INSERT INTO felucca.feed_heads (data_plane_id, epoch) VALUES ($1, $2)', [
        id,
        randomBytes(6).toString('hex'),
      ]);
      return id;
    },
    createOrganization: async (organization = `org-${randomBytes(4).toString('hex')}`) => {
      const id = randomUUID();
      await admin.query('INSERT INTO felucca.organizations (id, name) VALUES ($1, $2)', [id, organization]);
      return { id, name: organization };
    },
    createJoinToken: async (dataPlaneId, expiresInSeconds = 600) => {
      const id = randomUUID();
      const { token, secretHash } = newJoinToken(hash, id, dataPlaneId);
      await admin.query(
        `INSERT INTO felucca.join_tokens (id, data_plane_id, secret_hash, expires_at)
         VALUES ($1, $2, $3, now() + $4 * interval '1 second')`,
        [id, dataPlaneId, secretHash, expiresInSeconds],
      );
      return token;
    },
    commit: (dataPlaneId, ...changes) => commit(admin, signer, dataPlaneId, changes),
    stop: async () => {
      for (const process of [...running]) await process.stop();
      await admin.end();
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return stage;
}

type Queryable = Pick<pg.Pool, 'query'>;

export async function commit(
  db: Queryable,
  signer: RowSigner,
  dataPlaneId: string,
  changes: Change[],
): Promise<bigint> {
  const rows = await Promise.all(
    changes.map(async (change) => {
      const {
        key,
        id,
        kind = 'Instance',
        generation = 1,
        deleted = false,
        tenantId = PLATFORM_TENANT,
      } = change;
      const spec = deleted ? null : (change.spec ?? { n: generation });
      const hash = spec === null ? '' : digestOf(spec);
      const sig = await signer.sign({ dataPlaneId, kind, key, id, generation, hash, deleted });
      const row = {
        tenant_id: tenantId,
        kind,
        key,
        id,
        generation,
        hash,
        spec,
        kid: signer.kid,
        sig,
        deleted,
      };
      // What the feed does with a deletion is of interest here, and not how many a budget lets through.
      return { ...row, ...(deleted ? { released: true } : {}) };
    }),
  );
  const { rows: heads } = await db.query<{ head: string }>(
    'SELECT felucca.feed_commit($1, $2::jsonb)::text AS head',
    [dataPlaneId, JSON.stringify(rows)],
  );
  return BigInt(heads[0]?.head ?? '0');
}

/** The operator's side of the credentials, as the protocol says and no more. */
export class TestOperator {
  readonly privateKey: KeyObject;
  readonly publicKey: string;
  /** JWK `x`; an operator of an earlier version has none. */
  sealingKey: string | undefined;
  identity: JoinReply | undefined;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    this.privateKey = privateKey;
    this.publicKey = publicKey.export({ format: 'jwk' }).x ?? '';
  }

  static async joined(stage: Stage, api: ApiProcess, dataPlaneId: string): Promise<TestOperator> {
    const operator = new TestOperator();
    const answer = await operator.join(api, await stage.createJoinToken(dataPlaneId));
    if (answer.status !== 200) throw new Error(`join failed: ${await answer.text()}`);
    operator.identity = (await answer.json()) as JoinReply;
    return operator;
  }

  join(api: Pick<ApiProcess, 'url'>, token: string, dataPlaneId?: string): Promise<Response> {
    return fetch(`${api.url}/v1/join`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        token,
        publicKey: this.publicKey,
        ...(this.sealingKey ? { sealingKey: this.sealingKey } : {}),
        ...(dataPlaneId === undefined ? {} : { dataPlaneId }),
        instance: 'test-0',
        operatorVersion: '0.0.0',
      }),
    });
  }

  get dataPlaneId(): string {
    return this.identity?.dataPlaneId ?? '';
  }

  async authorization(
    method: 'GET' | 'POST',
    path: string,
    claims: Record<string, unknown> = {},
  ): Promise<string> {
    const payload = {
      iss: this.dataPlaneId,
      aud: 'felucca-control-api',
      htm: method,
      htu: path,
      iat: Math.floor(Date.now() / 1_000),
      jti: randomUUID(),
      ...claims,
    };
    const jwt = await new SignJWT(payload)
      .setProtectedHeader({ alg: 'EdDSA', kid: this.identity?.keyId ?? '' })
      .sign(this.privateKey);
    return `Felucca ${jwt}`;
  }

  async report(
    api: ApiProcess,
    report: Omit<ReportInput, 'proto' | 'term'> & { proto?: number; term?: number },
  ): Promise<{ status: number; retryAfter: string | null; body: Record<string, unknown> }> {
    const path = `/v1/data-planes/${this.dataPlaneId}/reports`;
    const answer = await fetch(api.url + path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: await this.authorization('POST', path),
      },
      body: JSON.stringify({ proto: PROTO, term: 0, ...report }),
    });
    const { status, headers } = answer;
    return {
      status,
      retryAfter: headers.get('retry-after'),
      body: (await answer.json()) as Record<string, unknown>,
    };
  }
}

/** Waits for a condition; never for a time. */
export async function until<T>(
  what: string,
  check: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 15_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false) return value as T;
    if (performance.now() > deadline)
      throw new Error(`timed out after ${timeoutMs} ms waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
