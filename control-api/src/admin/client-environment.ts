import type { ConnectionOptions } from 'node:tls';
import { parse } from 'pg-connection-string';
import { clientOf } from './database.ts';

/** Files of TLS and of passwords; every other variable of libpq may name another server, or another way to it. */
const KEPT = ['PGPASSFILE', 'PGSSLROOTCERT', 'PGSSLCERT', 'PGSSLKEY', 'PGSSLCRL'];

/**
 * What makes a client program connect as node-pg does. Were the URL read twice, by rules that differ, one database would
 * be replaced with what went into another. By the environment, because a command line is anybody's to read.
 */
export function environmentOf(url: string, environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const client = clientOf(url);
  const { options, sslnegotiation, sslrootcert, sslcert, sslkey } = parse(url);
  const rootCertificate = sslrootcert ?? environment['PGSSLROOTCERT'];
  const sslmode = sslModeOf(client.ssl);
  const given = Object.entries({
    PGHOST: client.host,
    PGPORT: client.port,
    PGUSER: client.user,
    PGDATABASE: client.database,
    PGPASSWORD: client.password,
    PGOPTIONS: options ?? environment['PGOPTIONS'],
    PGSSLMODE: sslmode,
    // libpq has no list of authorities of its own, as Node has.
    PGSSLROOTCERT: rootCertificate ?? (sslmode === 'verify-full' ? 'system' : undefined),
    PGSSLCERT: sslcert,
    PGSSLKEY: sslkey,
    PGSSLNEGOTIATION: sslnegotiation ?? environment['PGSSLNEGOTIATION'],
    PGGSSENCMODE: 'disable',
  }).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const others = Object.entries(environment).filter(
    ([name]) => !name.startsWith('PG') || KEPT.includes(name),
  );
  return {
    ...Object.fromEntries(others),
    ...Object.fromEntries(given.map(([name, value]) => [name, `${value}`])),
  };
}

/** node-pg has made of `sslmode` what Node's TLS is asked for. */
function sslModeOf(ssl: unknown): string {
  if (!ssl) return 'disable';
  const { rejectUnauthorized, checkServerIdentity } = ssl as ConnectionOptions;
  if (rejectUnauthorized === false) return 'require';
  return checkServerIdentity ? 'verify-ca' : 'verify-full';
}
