import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cluster, startCluster } from '@felucca/dev';
import { type BaseBackup, type PostgresServer, startPostgres, takeBaseBackup } from '@felucca/dev/postgres';
import { afterAll, beforeAll } from 'vitest';
import { CONFIG_BLUEPRINT, ControlApi } from './control-api.ts';
import { applyDefinitions } from './definitions.ts';
import { eventually } from './eventually.ts';
import { type Endpoint, type TestTransport, testTransport } from './kube.ts';
import { type RunningLink, runLink } from './link.ts';

const NAMESPACE = 'felucca-system';
const INSTANCES = '/v1/organizations/acme/instances';
export const UNKNOWN = '/v1/data-planes/test/unknown-objects';

// biome-ignore lint/suspicious/noExplicitAny: objects as the API server returns them
type Live = any;

/** The real control-api on a real Postgres that is put back, and a live operator on a real API server. */
export class RecoveryStage {
  api!: ControlApi;
  link!: RunningLink;
  cluster!: Cluster;
  /** Where the API's server archives its WAL. */
  archive = '';
  private admin!: TestTransport;
  private folder!: string;
  private servers: PostgresServer[] = [];
  private count = 0;

  static register(): RecoveryStage {
    const stage = new RecoveryStage();
    beforeAll(() => stage.start());
    afterAll(() => stage.stop());
    return stage;
  }

  private async start(): Promise<void> {
    const name = `recovery-${process.pid}`;
    this.folder = await mkdtemp(join('/var/tmp', 'felucca-recovery-'));
    await chmod(this.folder, 0o777);
    [this.cluster, this.api] = await Promise.all([
      startCluster({ name, provider: 'bare' }),
      ControlApi.start(name, this.archiving()),
    ]);
    this.servers.push(this.api.postgres);
    const { cluster, api } = this;
    const endpoint: Endpoint = { server: cluster.server, caPem: cluster.caPem, token: cluster.adminToken! };
    this.admin = testTransport(endpoint);
    await applyDefinitions(cluster);
    for (const namespace of [NAMESPACE, 'tenant-acme', 'tenant-late'])
      await cluster.kubectl(['create', 'namespace', namespace]);
    await api.call('POST', '/v1/organizations', { name: 'acme' });
    await api.call('POST', '/v1/blueprints', CONFIG_BLUEPRINT);
    const { id } = await api.call('POST', '/v1/data-planes', { name: 'test' });
    const { token } = await api.call('POST', `/v1/data-planes/${id}/join-tokens`, {});
    this.link = await runLink({ endpoint, apiUrl: api.url, token, namespace: NAMESPACE });
  }

  private async stop(): Promise<void> {
    await this.link?.stop();
    this.admin?.close();
    await this.api?.stop();
    for (const server of this.servers) await server.stop();
    await this.cluster?.stop();
    if (this.folder) await rm(this.folder, { recursive: true, force: true });
  }

  order(name: string, size = 1, more: object = {}, organization = 'acme'): Promise<Live> {
    const body = {
      name,
      dataPlane: 'test',
      blueprint: 'web',
      version: '1.0.0',
      parameters: { size },
      ...more,
    };
    return this.api.call('POST', `/v1/organizations/${organization}/instances`, body);
  }
  change(name: string, size: number): Promise<Live> {
    return this.api.call('PATCH', `${INSTANCES}/${name}`, { parameters: { size } });
  }
  delete(name: string): Promise<Live> {
    return this.api.call('DELETE', `${INSTANCES}/${name}`);
  }
  async unknown(): Promise<Live[]> {
    return (await this.api.call('GET', UNKNOWN)).items;
  }
  dataPlane(): Promise<Live> {
    return this.api.call('GET', '/v1/data-planes/test');
  }

  async instances(): Promise<Live[]> {
    const { body } = await this.admin.send({ method: 'GET', path: '/apis/felucca.dev/v1alpha1/instances' });
    return (body as Live).items;
  }
  /** By tenant and name. */
  async live(name: string, organization = 'acme'): Promise<Live> {
    const found = await this.instances();
    return found.find(
      ({ metadata }) => metadata.name === name && metadata.namespace === `tenant-${organization}`,
    );
  }
  applied(name: string, size: number, organization = 'acme'): Promise<Live> {
    return eventually(
      `${name} has size ${size}`,
      async () => {
        const object = await this.live(name, organization);
        return object?.spec.parameters.size === size && object.status?.desired ? object : undefined;
      },
      60_000,
    );
  }
  /** Everything that was ordered is in the cluster and known to be. */
  current(): Promise<unknown> {
    return eventually(
      'the operator is current',
      async () => {
        const { link } = await this.dataPlane();
        return link.connected && link.lag === '0';
      },
      60_000,
    );
  }

  /** Both sides have compared every row under the epoch that there is now. */
  async compared(): Promise<unknown> {
    await this.current();
    return eventually(
      'the operator has compared',
      async () => {
        const { link } = await this.dataPlane();
        return (await this.remembered()).epoch === link.epoch && link.lag === '0';
      },
      60_000,
    );
  }
  private async remembered(): Promise<Live> {
    const path = '/apis/felucca.dev/v1alpha1/dataplanes/default';
    return ((await this.admin.send({ method: 'GET', path })).body as Live).status ?? {};
  }
  /** A person lets go what exceeds the budget. */
  async release(): Promise<void> {
    await eventually(
      'nothing is being removed',
      async () => {
        const path = '/v1/data-planes/test/held-deletions';
        const { items } = await this.api.call('GET', path);
        if (items.length > 0)
          await this.api.call('POST', `${path}/release`, { ids: items.map(({ id }: Live) => id) });
        const unknown = await this.unknown();
        if (items.length + unknown.length === 0) return true;
        throw new Error(JSON.stringify({ held: items, unknown }));
      },
      60_000,
    );
  }

  /** The archive has everything so far. */
  async archived(): Promise<void> {
    const [{ wal } = {}] = await this.api.postgres.ask(
      'SELECT pg_walfile_name(pg_current_wal_lsn()) AS wal, pg_switch_wal()',
    );
    await eventually('the WAL is archived', async () => {
      const [found] = await this.api.postgres.ask('SELECT last_archived_wal AS wal FROM pg_stat_archiver');
      return found?.['wal'] && String(found['wal']) >= String(wal);
    });
  }
  /** A streaming standby of the server that the API is on, when it has caught up. */
  async standby(): Promise<PostgresServer> {
    const { password, port } = new URL(this.api.postgres.url);
    const source = `host=127.0.0.1 port=${port} user=postgres password=${password}`;
    const standby = await this.serve(await this.backup(), {
      'standby.signal': '',
      'postgresql.auto.conf': `primary_conninfo = '${source}'\n`,
    });
    await eventually('it streams', async () => {
      const [found] = await this.api.postgres.ask(
        'SELECT replay_lsn = pg_current_wal_lsn() AS same FROM pg_stat_replication',
      );
      return found?.['same'];
    });
    return standby;
  }
  /** It receives nothing more: what comes now is lost when it is promoted. */
  async sever(standby: PostgresServer): Promise<void> {
    await standby.ask('ALTER SYSTEM RESET primary_conninfo');
    await standby.ask('SELECT pg_reload_conf()');
    await eventually('it is cut off', async () => {
      const found = await standby.ask('SELECT pid FROM pg_stat_wal_receiver');
      return found.length === 0;
    });
  }

  backup(): Promise<BaseBackup> {
    this.count += 1;
    return takeBaseBackup(this.api.postgres, join(this.folder, `backup-${this.count}`));
  }

  /** A server with that backup as its data. */
  /** Each server into a folder of its own: their histories differ, and their file names do not. */
  private archiving(): Record<string, string> {
    this.archive = join(this.folder, `archive-${this.count}`);
    return {
      archive_mode: 'on',
      archive_command: `mkdir -p ${this.archive} && cp %p ${this.archive}/%f`,
    };
  }

  async serve(
    backup: BaseBackup,
    files: Record<string, string> = {},
    settings: Record<string, string> = {},
  ): Promise<PostgresServer> {
    const server = await startPostgres({
      name: `recovered-${this.count}`,
      settings: { ...settings, ...this.archiving() },
      seed: { password: backup.password, fill: (dataDir) => backup.fill(dataDir, files) },
    });
    this.servers.push(server);
    return server;
  }

  /** The API goes on with another server; its former one is gone, as after a disaster. The operator stays. */
  async failOver(to: PostgresServer, between: () => Promise<void> = async () => {}): Promise<void> {
    await this.api.kill();
    const former = this.api.postgres;
    this.api.useServer(to);
    await between();
    if (former !== to) {
      await former.stop();
      this.servers = this.servers.filter((server) => server !== former);
    }
    await this.api.run();
  }
}
