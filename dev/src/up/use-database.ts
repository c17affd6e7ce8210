import { spawn } from 'node:child_process';
import pg from 'pg';
import { resolveBinary } from '../binaries/resolve.ts';
import type { Stack } from '../stack/index.ts';
import { instance, type Outputs, organization } from './order.ts';

const namespace = `tenant-${organization}`;
const forwardTimeoutMs = 15_000;

/** As a customer would: the address and name from the outputs, the password from the Secret they point to. */
export async function useDatabase(
  stack: Stack,
  outputs: Outputs,
  say: (line: string) => void,
): Promise<void> {
  const { kubectl } = stack.cluster;
  const secret = outputs['password']?.secretRef;
  if (secret === undefined) throw new Error('the outputs name no Secret with the password');
  const encoded = await kubectl([
    ...['get', 'secret', secret.name, '-n', namespace, '-o', `jsonpath={.data.${secret.key}}`],
  ]);
  const service = String(outputs['service']?.value ?? `${instance}-service`);
  const port = Number(outputs['port']?.value ?? 5432);
  const clusterAddress = await kubectl([
    ...['get', 'service', service, '-n', namespace, '-o', 'jsonpath={.spec.clusterIP}'],
  ]);
  // Addresses of Services lead from this host into our own nodes; into anybody else's cluster leads a tunnel.
  const direct = stack.provider === 'nodes';
  const tunnel = direct ? undefined : await forward(stack, service, port);
  const client = new pg.Client({
    host: tunnel === undefined ? clusterAddress : '127.0.0.1',
    port: tunnel?.port ?? port,
    user: String(outputs['username']?.value),
    database: String(outputs['database']?.value),
    password: Buffer.from(encoded, 'base64').toString('utf8'),
    connectionTimeoutMillis: 10_000,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query(
      'CREATE TABLE IF NOT EXISTS visits (id bigserial PRIMARY KEY, at timestamptz DEFAULT now())',
    );
    await client.query('INSERT INTO visits DEFAULT VALUES');
    const { rows } = await client.query<{ version: string; visits: number }>(
      "SELECT split_part(version(), ' on ', 1) AS version, (SELECT count(*)::int FROM visits) AS visits",
    );
    const where =
      tunnel === undefined ? `Service ${clusterAddress}:${port}` : `a tunnel to Service ${service}`;
    say(`through ${where}: ${rows[0]?.version}, ${rows[0]?.visits} rows in "visits"`);
  } finally {
    await client.end().catch(() => undefined);
    tunnel?.close();
  }
}

async function forward(
  stack: Stack,
  service: string,
  port: number,
): Promise<{ port: number; close: () => void }> {
  const child = spawn(
    await resolveBinary('kubectl'),
    ['port-forward', '-n', namespace, `service/${service}`, `:${port}`, '--address', '127.0.0.1'],
    {
      env: { ...process.env, KUBECONFIG: stack.cluster.kubeconfigPath },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const close = () => void child.kill('SIGKILL');
  process.once('exit', close);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      close();
      reject(new Error(`kubectl port-forward to ${service} said nothing for ${forwardTimeoutMs / 1000} s`));
    }, forwardTimeoutMs);
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`kubectl port-forward to ${service} ended with code ${code}`));
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const local = Number(/127\.0\.0\.1:(\d+)/.exec(text)?.[1]);
      if (!local) return;
      clearTimeout(timer);
      resolve({ port: local, close });
    });
  });
}
