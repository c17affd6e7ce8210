import type { Provider } from '../cluster/cluster.ts';
import { stackFolder } from '../stack/state.ts';
import { down } from './down.ts';
import { ownServer } from './own-server.ts';
import { up } from './up.ts';

const usage = `usage: node dev/src/up/cli.ts up | down

Environment: NAME (default "dev"), PROVIDER (auto, kind, nodes, kwok, existing), DATABASE_URL, FELUCCA_STATE, PURGE=1 (down)
`;
const providers: readonly string[] = ['auto', 'kind', 'nodes', 'kwok', 'existing'];
const say = (line: string) => void process.stdout.write(`${line}\n`);

async function runUp(name: string): Promise<void> {
  const provider = process.env['PROVIDER'] || 'auto';
  if (!providers.includes(provider))
    throw new Error(`PROVIDER=${provider} is not one of ${providers.join(', ')}`);
  const databaseUrl = ownServer(process.env['DATABASE_URL'], stackFolder(name), say);
  const leaving = new AbortController();
  const asked = Promise.withResolvers<string>();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      asked.resolve(signal);
      leaving.abort(new Error(`stopped by ${signal}`));
    });
  }
  const stack = await up({
    name,
    provider: provider as Provider | 'auto',
    persistent: true,
    ...(databaseUrl ? { databaseUrl } : {}),
    signal: leaving.signal,
    onProgress: say,
  });
  // Signal handlers alone do not keep a process alive.
  const alive = setInterval(() => undefined, 60_000);
  say(`stopping (${await asked.promise}) …`);
  clearInterval(alive);
  await stack.stop();
  say('stopped; "make up" finds everything again, unless it is purged');
}

async function main(): Promise<void> {
  const [command] = process.argv.slice(2);
  const name = process.env['NAME'] || 'dev';
  if (command === 'up') return runUp(name);
  if (command === 'down') return down({ name, purge: process.env['PURGE'] === '1', say });
  process.stderr.write(usage);
  process.exitCode = 2;
}

try {
  await main();
} catch (error) {
  const messages =
    error instanceof AggregateError ? error.errors.map(String).join('\n') : (error as Error).message;
  process.stderr.write(`\n${messages}\n`);
  process.exitCode = 1;
}
// What is still open now (a kept-alive connection) must not hold the terminal.
process.exit();
