import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { environmentOf } from './client-environment.ts';

const folder = mkdtempSync(join(tmpdir(), 'felucca-tls-'));
const certificate = join(folder, 'root.crt');
writeFileSync(certificate, 'an authority');
afterAll(() => rmSync(folder, { recursive: true }));

const of = (url: string, environment: NodeJS.ProcessEnv = {}) => environmentOf(url, environment);
const place = (url: string) => {
  const { PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE } = of(url);
  return [PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE];
};

describe('a client program connects where node-pg does', () => {
  test.each([
    ['postgres://u:p@db:6000/fel', ['db', '6000', 'u', 'p', 'fel']],
    ['postgres://u:p%40%2F@db/fel', ['db', '5432', 'u', 'p@/', 'fel']],
    ['postgres://u:p@[::1]:6000/fel', ['::1', '6000', 'u', 'p', 'fel']],
    ['postgres://u:p@localhost/fel?host=/cloudsql/a:b:c', ['/cloudsql/a:b:c', '5432', 'u', 'p', 'fel']],
    ['postgres://u:p@a:1/fel?host=b&port=2', ['b', '2', 'u', 'p', 'fel']],
    ['postgres://u:p@a/fel?user=v&password=q', ['a', '5432', 'v', 'q', 'fel']],
    ['postgres:///fel?host=/tmp/sock&user=u&password=p', ['/tmp/sock', '5432', 'u', 'p', 'fel']],
    ['postgres://u:p@%2Ftmp%2Fsock/fel', ['/tmp/sock', '5432', 'u', 'p', 'fel']],
  ])('%s', (url, expected) => {
    expect(place(url)).toEqual(expected);
  });

  test('whatever the environment says about other servers', () => {
    const environment = { PATH: '/bin', PGHOSTADDR: '10.0.0.1', PGSERVICE: 'other', PGPASSFILE: '/pass' };
    const env = of('postgres://u@db/fel?options=-c%20role%3Downer', environment);
    expect(env).toMatchObject({
      PATH: '/bin',
      PGHOST: 'db',
      PGPASSFILE: '/pass',
      PGOPTIONS: '-c role=owner',
    });
    expect(env).not.toHaveProperty('PGHOSTADDR');
    expect(env).not.toHaveProperty('PGSERVICE');
  });

  test.each([
    ['', 'disable', undefined],
    ['?sslmode=disable', 'disable', undefined],
    ['?sslmode=no-verify', 'require', undefined],
    ['?sslmode=require&uselibpqcompat=true', 'require', undefined],
    ['?sslmode=verify-full', 'verify-full', 'system'],
    ['?ssl=true', 'verify-full', 'system'],
    [`?sslmode=verify-full&sslrootcert=${certificate}`, 'verify-full', certificate],
    [`?sslmode=verify-ca&sslrootcert=${certificate}&uselibpqcompat=true`, 'verify-ca', certificate],
  ])('and with the same TLS: "%s"', (query, mode, authority) => {
    const { PGSSLMODE, PGSSLROOTCERT } = of(`postgres://u@db/fel${query}`);
    expect([PGSSLMODE, PGSSLROOTCERT]).toEqual([mode, authority]);
  });
});
