import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Report } from '@felucca/contract';
import { escapeLiteral, Pool, type PoolClient } from 'pg';
import { serve } from '../../agents/remote.ts';

/**
 * `node bench/src/link/bare-server.ts`, started by startRemote(): the least that a control plane on Node and Postgres does
 * with an order and with a report, as the ceiling of what this machine takes. It believes everybody and everything: no
 * authentication, no check, no Blueprint, no operation, audit, signature or digest, no foreign key.
 */
const CONNECTIONS = 16;
const SETUP = `
  CREATE SCHEMA bare;
  CREATE TABLE bare.heads (data_plane text PRIMARY KEY, head bigint NOT NULL) WITH (fillfactor = 50);
  CREATE TABLE bare.rows (
    tenant text, id uuid, data_plane text, name text, rev bigint, spec jsonb, PRIMARY KEY (tenant, id));
  CREATE UNIQUE INDEX ON bare.rows (data_plane, rev);
  CREATE TABLE bare.observed (data_plane text, key text, generation bigint, seq bigint, conditions jsonb, outputs jsonb,
    PRIMARY KEY (data_plane, key)) WITH (fillfactor = 60);
  ALTER TABLE bare.rows ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY tenant ON bare.rows TO felucca_app USING (tenant = (SELECT current_setting('app.tenant_id', true)));
  GRANT USAGE ON SCHEMA bare TO felucca_app;
  GRANT SELECT, INSERT, UPDATE ON bare.rows, bare.heads TO felucca_app;`;
/** The row under the next number of its data plane. */
const ORDER = `
  WITH counter AS (
    INSERT INTO bare.heads AS h VALUES ($3, 1) ON CONFLICT (data_plane) DO UPDATE SET head = h.head + 1 RETURNING head)
  INSERT INTO bare.rows SELECT $1, $2::uuid, $3, $4, head, $5::jsonb FROM counter`;
const REPORT = `
  INSERT INTO bare.observed AS o
  SELECT $1, i.* FROM ROWS FROM (unnest($2::text[], $3::bigint[], $4::bigint[]),
    jsonb_array_elements($5::jsonb), jsonb_array_elements($6::jsonb)) AS i
  ON CONFLICT (data_plane, key) DO UPDATE
    SET generation = excluded.generation, seq = excluded.seq, conditions = excluded.conditions, outputs = excluded.outputs
  WHERE excluded.generation > o.generation OR (excluded.generation = o.generation AND excluded.seq > o.seq)`;

let pool: Pool;

async function order(client: PoolClient, tenant: string, body: string): Promise<object> {
  const { name, dataPlane, parameters } = JSON.parse(body);
  const id = randomUUID();
  const values = [tenant, id, dataPlane, name, JSON.stringify(parameters)];
  await Promise.all([
    client.query(`BEGIN; SET LOCAL ROLE felucca_app; SET LOCAL app.tenant_id = ${escapeLiteral(tenant)}`),
    client.query({ name: 'order', text: ORDER, values }),
  ]);
  await client.query('COMMIT');
  return { id, name };
}

async function report(client: PoolClient, dataPlane: string, body: string): Promise<object> {
  const { seq, status } = JSON.parse(body) as Report;
  const values = [
    dataPlane,
    status.map((item) => item.key),
    status.map((item) => item.generation),
    status.map((item) => item.observedSeq),
    JSON.stringify(status.map((item) => item.conditions)),
    JSON.stringify(status.map((item) => item.outputs ?? {})),
  ];
  await client.query({ name: 'report', text: REPORT, values });
  return { seq, accepted: status.length, rejected: [] };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  // /v1/organizations/<name>/instances or /v1/data-planes/<id>/reports
  const [, , what, whose = ''] = request.url!.split('/');
  const client = await pool.connect();
  try {
    const isOrder = what === 'organizations';
    const text = JSON.stringify(await (isOrder ? order : report)(client, whose, body));
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    response.writeHead(isOrder ? 202 : 200, headers).end(text);
  } catch (error) {
    response.writeHead(500).end(String(error));
  } finally {
    client.release();
  }
}

const bareServer = {
  /** @returns where it listens */
  start: async (databaseUrl: string): Promise<string> => {
    pool = new Pool({ connectionString: databaseUrl, max: CONNECTIONS, pipeline: true });
    await pool.query(SETUP);
    const server = createServer((request, response) => void answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  },
};
export type BareServer = typeof bareServer;

serve(bareServer);
