import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import pg from 'pg';
import { ApiProcess } from './api-process.ts';
import { tinyBlueprint } from './tiny-blueprint.ts';

/** Of the file that started it. */
export let api: ApiProcess;
export let database: pg.Client;
/** Of the organizations acme and rival. */
export let acmeKey: string;
export let rivalKey: string;
let server: PostgresServer;

/** A process of the API with two organizations, a data plane and a Blueprint. */
export async function startResources(name: string): Promise<void> {
  server = await startPostgres({ name });
  const url = await server.createDatabase('resources');
  api = await ApiProcess.start(url);
  database = new pg.Client({ connectionString: url });
  await database.connect();
  for (const organization of ['acme', 'rival'])
    await api.call('POST', '/v1/organizations', { name: organization });
  const key = async (organization: string) =>
    (await api.call('POST', `/v1/organizations/${organization}/api-keys`, { name: 'k' })).body.key;
  acmeKey = await key('acme');
  rivalKey = await key('rival');
  await api.call('POST', '/v1/data-planes', { name: 'dp' });
  await api.call('POST', '/v1/blueprints', tinyBlueprint());
}
export async function stopResources(): Promise<void> {
  await database?.end();
  await api?.stop();
  await server?.stop();
}

export const instances = '/v1/organizations/acme/instances';
export const order = (name: string, more: object = {}, headers: Record<string, string> = {}) =>
  api.call(
    'POST',
    instances,
    { name, dataPlane: 'dp', blueprint: 'tiny', version: '1.0.0', ...more },
    headers,
    acmeKey,
  );
export const patch = (name: string, change: object, etag: string) =>
  api.call(
    'PATCH',
    `${instances}/${name}`,
    change,
    { 'if-match': etag, 'content-type': 'application/merge-patch+json' },
    acmeKey,
  );
