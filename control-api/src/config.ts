import { plainWords } from '@felucca/contract';
import { parse } from 'pg-connection-string';
import { z } from 'zod';

const optional = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === '' ? undefined : value), schema.optional());
/** As node-pg reads it, which also reads the certificates that it names. Its errors repeat nothing of the URL. */
const postgresUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, { error: 'must be a postgres:// URL', abort: true })
  .superRefine((url, context) => {
    try {
      parse(url);
    } catch (error) {
      context.addIssue({
        code: 'custom',
        message:
          `cannot be used (${(error as Error).message}); write postgres://role:password@host:5432/database, or ` +
          'postgres://role:password@/database?host=/folder/of/the/socket, with %-escapes in the password',
      });
    }
  });

const environmentSchema = z.object({
  DATABASE_URL: postgresUrl.describe('Role that runs migrations'),
  FELUCCA_APP_DATABASE_URL: optional(postgresUrl),
  FELUCCA_FEED_DATABASE_URL: optional(postgresUrl),
  FELUCCA_KEY_DIR: z.string().min(1, 'must be a folder for the keys that must not be in the database'),
  FELUCCA_LOST_SIGNING_KEYS: z
    .string()
    .regex(/^(fs_[\w-]+(,fs_[\w-]+)*)?$/, 'must be the kids of keys, fs_…, with commas between them')
    .default(''),
  FELUCCA_BOOTSTRAP_KEY: optional(z.string().startsWith('fel_')),
  FELUCCA_MIGRATE: z.enum(['0', '1']).default('1'),
  HOST: z.string().default('127.0.0.1'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
  FELUCCA_VERSION: z.string().max(64).default('0.1.0'),
  POOL_SIZE: z.coerce.number().int().min(2).max(200).default(16),
  DRAIN_DELAY_MS: z.coerce.number().int().min(0).max(60_000).default(0),
  SHUTDOWN_TIMEOUT_MS: z.coerce.number().int().min(1_000).max(300_000).default(20_000),
});

export interface Config {
  databaseUrl: string;
  /** Unset: derived from databaseUrl with passwords made from the key folder. */
  appDatabaseUrl: string | undefined;
  feedDatabaseUrl: string | undefined;
  keyDir: string;
  /** Kids of keys that nobody has any more: rows signed with them are no reason not to serve. */
  lostSigningKeys: readonly string[];
  /** A platform key that exists from the start, for scripts that set everything up. */
  bootstrapKey: string | undefined;
  migrate: boolean;
  host: string;
  port: number;
  logLevel: string;
  version: string;
  poolSize: number;
  /** Between "not ready" and closing the port. */
  drainDelayMs: number;
  shutdownTimeoutMs: number;
}

/** @throws with every wrong variable, its name and what is wrong with it, in one message */
export function readConfig(environment: Record<string, string | undefined>): Config {
  const parsed = environmentSchema.safeParse(environment);
  if (!parsed.success) {
    const lines = parsed.error.issues
      .flatMap((issue) => plainWords(issue))
      .map(({ path, message }) => `  ${path.slice(1)}: ${message}`);
    throw new Error(`The environment of control-api is not valid:\n${lines.join('\n')}`);
  }
  const env = parsed.data;
  return {
    databaseUrl: env.DATABASE_URL,
    appDatabaseUrl: env.FELUCCA_APP_DATABASE_URL,
    feedDatabaseUrl: env.FELUCCA_FEED_DATABASE_URL,
    keyDir: env.FELUCCA_KEY_DIR,
    lostSigningKeys: env.FELUCCA_LOST_SIGNING_KEYS.split(',').filter((kid) => kid !== ''),
    bootstrapKey: env.FELUCCA_BOOTSTRAP_KEY,
    migrate: env.FELUCCA_MIGRATE === '1',
    host: env.HOST,
    port: env.PORT,
    logLevel: env.LOG_LEVEL,
    version: env.FELUCCA_VERSION,
    poolSize: env.POOL_SIZE,
    drainDelayMs: env.DRAIN_DELAY_MS,
    shutdownTimeoutMs: env.SHUTDOWN_TIMEOUT_MS,
  };
}
