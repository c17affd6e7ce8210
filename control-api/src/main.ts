import { randomUUIDv7 } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { buildApp } from './app.ts';
import { type Config, readConfig } from './config.ts';
import { refuseInterrupted } from './db/interrupted-restore.ts';
import { keyedHashFromFolder } from './db/keyed-hash.ts';
import { observePools } from './db/metrics.ts';
import { migrate, wasServed } from './db/migrate.ts';
import { assertConfined, openDatabase } from './db/pool.ts';
import {
  APP_ROLE,
  derivePasswords,
  FEED_ROLE,
  hasRoleSecret,
  ROLE_SECRET_FILE,
  urlAs,
} from './db/role-passwords.ts';
import { asFeed, PLATFORM_TENANT } from './db/tenant.ts';
import { requireKeys } from './feed/require-keys.ts';
import { signerFromFolder } from './feed/signer.ts';
import { createKeyAuthentication } from './http/api-keys.ts';
import { describeBuild } from './http/metrics.ts';
import { openLink } from './link/open-link.ts';
import { outputKeyFromFolder } from './link/output-key.ts';
import { ensureBootstrapKey, makePlatformKey } from './resources/api-keys/bootstrap.ts';
import { createOrganizationLookUp } from './resources/organizations/scope.ts';

// The composition root: the only place that reads the environment, the clock and randomness.
const USAGE = `usage: control-api [serve | migrate | create-key]
  serve       migrate (unless FELUCCA_MIGRATE=0) and answer requests; the default
  migrate     bring the schema up to this version and exit
  create-key  print a new platform key`;

const [command = 'serve'] = process.argv.slice(2);
const commands: Record<string, (config: Config) => Promise<void>> = {
  serve,
  migrate: migrateOnly,
  'create-key': createKey,
};
const run = commands[command];
if (!run) {
  process.stderr.write(`unknown command "${command}"\n${USAGE}\n`);
  process.exit(2);
}
try {
  await run(readConfig(process.env));
} catch (error) {
  process.stderr.write(`control-api: ${(error as Error).message}\n`);
  process.exit(1);
}

async function migrateOnly(config: Config): Promise<void> {
  const applied = await migrate({
    url: config.databaseUrl,
    rolePasswords: () => managedPasswords(config),
    onServed: (tx) => requireKeys(tx, config),
    onApplied: (name) => process.stderr.write(`applied ${name}\n`),
  });
  process.stderr.write(applied === 0 ? 'the schema is current\n' : `${applied} migrations applied\n`);
}

async function createKey(config: Config): Promise<void> {
  if (!(await hasRoleSecret(config.keyDir)))
    throw new Error(
      `FELUCCA_KEY_DIR is ${config.keyDir}, where there is no ${ROLE_SECRET_FILE}, so no process would know the key; ` +
        'set it to the key folder of the processes that serve',
    );
  const db = await connect(config, (error) => process.stderr.write(`database: ${error.message}\n`));
  try {
    const hash = await keyedHashFromFolder(config.keyDir);
    process.stdout.write(`${await makePlatformKey(db, hash, () => randomUUIDv7())}\n`);
  } finally {
    await db.close();
  }
}

async function serve(config: Config): Promise<void> {
  // Lines wait for each other and not requests for lines: under load many are one write.
  const lines = pino.destination({ dest: 1, sync: false });
  process.on('exit', () => lines.flushSync());
  const log = pino(
    { level: config.logLevel, base: { service: 'control-api' }, redact: ['req.headers.authorization'] },
    lines,
  );
  if (config.migrate)
    await migrate({
      url: config.databaseUrl,
      rolePasswords: () => managedPasswords(config),
      onServed: (tx) => requireKeys(tx, config),
      onApplied: (name) => log.info({ name }, 'migration applied'),
    });
  const db = await connect(config, (error) => log.warn({ err: error }, 'an idle database connection ended'));
  if (!config.migrate)
    await asFeed(db, async (tx) => {
      if (await wasServed(tx)) await requireKeys(tx, config);
    });
  const hash = await keyedHashFromFolder(config.keyDir);
  if (config.bootstrapKey) await ensureBootstrapKey(db, hash, config.bootstrapKey, () => randomUUIDv7());
  const registry = new Registry();
  describeBuild(registry, config.version);
  observePools(db, config.poolSize, registry);
  const signer = await signerFromFolder(config.keyDir);
  const outputKey = await outputKeyFromFolder(config.keyDir);
  let isEnding = false;
  const draining = new AbortController();
  const link = await openLink({
    db,
    signer,
    hash,
    outputKey,
    registry,
    logger: log,
    random: Math.random,
    nowMs: () => performance.now(),
    now: () => new Date(),
  });
  const app = await buildApp({
    services: {
      db,
      signer,
      hash,
      outputKey,
      wake: link.wake,
      authenticate: createKeyAuthentication(db, hash, () => performance.now()),
      organizationNamed: createOrganizationLookUp(db, () => performance.now()),
      newId: () => randomUUIDv7(),
      now: () => new Date(),
      draining: draining.signal,
    },
    registry,
    logger: log,
    draining: () => isEnding,
    link: (fastify) => link.register(fastify),
  });
  // First: a database with another history gets new epochs before the first operator asks.
  await link.start();
  const address = await app.listen({ host: config.host, port: config.port, backlog: 4_096 });
  log.info({ address, platformTenant: PLATFORM_TENANT }, 'control-api is ready');

  const shutDown = async (signal: string) => {
    if (isEnding) return;
    isEnding = true;
    log.info({ signal }, 'draining');
    // Whatever hangs must not keep the process: the orchestrator would kill it harder and later.
    setTimeout(() => process.exit(1), config.drainDelayMs + config.shutdownTimeoutMs).unref();
    // Unready for a while before the port closes: load balancers need a moment to send new requests elsewhere.
    await delay(config.drainDelayMs);
    draining.abort();
    await link.drain();
    await app.close();
    await db.close();
    log.info('stopped');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void shutDown(signal));
}

/** Passwords that we set ourselves; none when the URLs of both roles are given, as on a managed server. */
async function managedPasswords(config: Config): Promise<Record<string, string>> {
  const { [APP_ROLE]: app = '', [FEED_ROLE]: feed = '' } = await derivePasswords(config.keyDir);
  return {
    ...(config.appDatabaseUrl ? {} : { [APP_ROLE]: app }),
    ...(config.feedDatabaseUrl ? {} : { [FEED_ROLE]: feed }),
  };
}

async function connect(config: Config, onError: (error: Error) => void) {
  const passwords = await managedPasswords(config);
  const db = openDatabase({
    appUrl: config.appDatabaseUrl ?? urlAs(config.databaseUrl, APP_ROLE, passwords[APP_ROLE] ?? ''),
    feedUrl: config.feedDatabaseUrl ?? urlAs(config.databaseUrl, FEED_ROLE, passwords[FEED_ROLE] ?? ''),
    size: config.poolSize,
    onError,
  });
  await refuseInterrupted(db.app);
  await assertConfined(db);
  return db;
}
