import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleProgram } from '@felucca/dev';
import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import pg from 'pg';
import { Identity } from '../../agents/identity.ts';
import { type Remote, startRemote } from '../../agents/remote.ts';
import type { FleetState, Simulator } from '../../agents/simulator.ts';
import { type ApiOptions, ApiProcess } from './api-process.ts';
import type { BareServer } from './bare-server.ts';
import type { LoadPlan, Tenants } from './load.ts';

const ORGANIZATIONS = 20;
const AGENTS_PER_PROCESS = 5_000;
/** What a database of this size is given; commits are durable. */
const SETTINGS = { fsync: 'on', full_page_writes: 'on', shared_buffers: '512MB', max_wal_size: '4GB' };

const BLUEPRINT = {
  name: 'bench',
  version: '1.0.0',
  parameters: { type: 'object', properties: { text: { type: 'string', default: '', maxLength: 100 } } },
  nodes: [
    { id: 'config', manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { text: '${params.text}' } } },
  ],
};

export const organizationOf = (agent: number): string => `bench-${agent % ORGANIZATIONS}`;
export const dataPlaneOf = (agent: number): string => `dp-${agent}`;

/** A control plane as it is deployed, and programs that play tenants and data planes. */
export class LinkStage {
  readonly postgres: PostgresServer;
  /** Superuser: seeds, and reads what the database knows. */
  readonly admin: pg.Pool;
  readonly apis: ApiProcess[] = [];
  readonly tenants: Remote<Tenants>;
  private readonly api: Pick<ApiOptions, 'program' | 'folder' | 'profile'>;
  /** Superuser's. */
  readonly databaseUrl: string;
  /** Made as a person would make it. */
  platformKey = '';
  private fleets: Remote<Simulator>[] = [];
  private bare: { server: Remote<BareServer>; url: string } | undefined;
  private readonly aimed: ((urls: readonly string[]) => void)[] = [];
  private seeded = 0;

  private constructor(postgres: PostgresServer, databaseUrl: string, api: LinkStage['api']) {
    this.postgres = postgres;
    this.databaseUrl = databaseUrl;
    this.api = api;
    this.admin = new pg.Pool({ connectionString: databaseUrl, max: 20 });
    this.admin.on('error', () => {});
    this.tenants = startRemote<Tenants>(join(import.meta.dirname, 'load.ts'));
  }

  /** With one process of the API that is ready, organizations and a Blueprint. */
  static async start(
    name: string,
    { profile, say }: { profile?: string | undefined; say?: (line: string) => void } = {},
  ): Promise<LinkStage> {
    const folder = mkdtempSync(join(tmpdir(), 'felucca-bench-'));
    // As in the image: the bundle two folders below what lies beside the migrations.
    const program = await bundleProgram('control-api', { folder: join(folder, 'dist/control-api') });
    cpSync(join(import.meta.dirname, '../../../control-api/migrations'), join(folder, 'migrations'), {
      recursive: true,
    });
    const postgres = await startPostgres({ name, settings: SETTINGS });
    say?.(`logs: ${folder}`);
    const stage = new LinkStage(postgres, await postgres.createDatabase('felucca'), {
      folder,
      program,
      profile,
    });
    try {
      await stage.startApi();
      stage.platformKey = stage.apis[0]!.createKey();
      for (let n = 0; n < ORGANIZATIONS; n += 1)
        await stage.call('POST', '/v1/organizations', { name: organizationOf(n) });
      await stage.call('POST', '/v1/blueprints', BLUEPRINT);
      await stage.aim();
      return stage;
    } catch (error) {
      await stage.stop();
      throw error;
    }
  }

  async startApi(): Promise<ApiProcess> {
    const { databaseUrl } = this;
    const api = await ApiProcess.start({ ...this.api, databaseUrl, number: this.apis.length });
    this.apis.push(api);
    return api;
  }

  /** Joined data planes, written straight into the tables: 10,000 joins would take minutes. */
  async seed(agents: number): Promise<void> {
    const numbers = Array.from({ length: Math.max(0, agents - this.seeded) }, (_, n) => this.seeded + n);
    const identities = numbers.map((number) => new Identity(number));
    await this.admin.query(
      `WITH agent AS (
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS a(id, name, key_id, public_key)
       ), planes AS (
         INSERT INTO felucca.data_planes (id, name, joined_at) SELECT id, name, now() FROM agent RETURNING id
       ), heads AS (
         INSERT INTO felucca.feed_heads (data_plane_id, epoch) SELECT id, md5(id::text) FROM planes
       )
       INSERT INTO felucca.operator_keys (id, data_plane_id, public_key)
       SELECT key_id, agent.id, public_key FROM agent JOIN planes USING (id)`,
      [
        identities.map(({ dataPlaneId }) => dataPlaneId),
        numbers.map(dataPlaneOf),
        identities.map(({ keyId }) => keyId),
        identities.map(({ publicKey }) => publicKey),
      ],
    );
    this.seeded = Math.max(this.seeded, agents);
    // As autovacuum would have done long before a fleet has this size. Not of tables that are empty yet: statements that are
    // planned for no rows are kept, and read all rows that there are later.
    await this.admin.query('VACUUM ANALYZE felucca.data_planes, felucca.feed_heads, felucca.operator_keys');
  }

  /** Agents `from` to `to`, spread over a few processes of their own. */
  async startAgents(range: { from: number; to: number; overMs: number; reports: boolean }): Promise<void> {
    await this.seed(range.to);
    for (let from = range.from; from < range.to; from += AGENTS_PER_PROCESS) {
      const fleet = startRemote<Simulator>(join(import.meta.dirname, '../../agents/simulator.ts'));
      this.fleets.push(fleet);
      await fleet.call('aim', this.readyUrls());
      await fleet.call('start', { ...range, from, to: Math.min(range.to, from + AGENTS_PER_PROCESS) });
    }
  }

  /** Tenants and agents send to a server that does the least, and then to ours again. */
  async withBareServer<T>(work: () => Promise<T>): Promise<T> {
    if (!this.bare) {
      const server = startRemote<BareServer>(join(import.meta.dirname, 'bare-server.ts'));
      this.bare = { server, url: await server.call('start', this.databaseUrl) };
    }
    await this.aimAt([this.bare.url]);
    try {
      return await work();
    } finally {
      await this.aim();
    }
  }

  async stopAgents(): Promise<void> {
    for (const fleet of this.fleets.splice(0)) {
      await fleet.call('stop', undefined);
      await fleet.stop();
    }
  }

  /** The same question to all simulators. */
  askAgents<K extends keyof Simulator>(name: K, argument: Parameters<Simulator[K]>[0]) {
    return Promise.all(this.fleets.map((fleet) => fleet.call(name, argument as never)));
  }

  async agentState(): Promise<FleetState> {
    const all: FleetState = { agents: 0, current: 0, phases: {}, counts: {}, askedBackWithinMs: 0 };
    for (const state of await this.askAgents('state', undefined)) {
      all.agents += state.agents;
      all.current += state.current;
      all.askedBackWithinMs = Math.max(all.askedBackWithinMs, state.askedBackWithinMs);
      for (const part of ['phases', 'counts'] as const)
        for (const [what, count] of Object.entries(state[part]))
          all[part][what] = (all[part][what] ?? 0) + count;
    }
    return all;
  }

  /** @returns how long it took */
  async untilAllCurrent(timeoutMs: number): Promise<number> {
    const startMs = performance.now();
    for (;;) {
      const state = await this.agentState();
      const tookMs = performance.now() - startMs;
      if (state.current === state.agents) return tookMs;
      if (tookMs > timeoutMs)
        throw new Error(`after ${timeoutMs} ms only ${state.current} are current: ${JSON.stringify(state)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Everybody uses the processes that are ready, and none that is about to end. */
  async aim(leaving?: ApiProcess): Promise<void> {
    const urls = this.readyUrls().filter((url) => url !== leaving?.url);
    for (const aim of this.aimed) aim(urls);
    await this.aimAt(urls);
  }

  private async aimAt(urls: string[]): Promise<void> {
    await Promise.all([
      this.tenants.call('aim', urls),
      ...this.fleets.map((fleet) => fleet.call('aim', urls)),
    ]);
  }

  /** Somebody else who is told which processes are ready. */
  alsoAim(aim: (urls: readonly string[]) => void): void {
    this.aimed.push(aim);
  }

  plan(
    agents: { from: number; to: number },
    load: Pick<LoadPlan, 'perSecond' | 'atOnce' | 'forMs'>,
  ): LoadPlan {
    const subjects = Array.from({ length: agents.to - agents.from }, (_, n) => ({
      organization: organizationOf(agents.from + n),
      dataPlane: dataPlaneOf(agents.from + n),
    }));
    return { key: this.platformKey, subjects, ...load };
  }

  async call(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(this.readyUrls()[0] + path, {
      method,
      headers: { authorization: `Bearer ${this.platformKey}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async stop(): Promise<void> {
    await this.stopAgents();
    await this.bare?.server.stop();
    await this.tenants.stop();
    await Promise.all(this.apis.map((api) => api.stop()));
    await this.admin.end();
    await this.postgres.stop();
    rmSync(this.api.folder, { recursive: true, force: true });
  }

  private readyUrls(): string[] {
    return this.apis.filter((api) => api.isReady).map((api) => api.url);
  }
}
