import pg from 'pg';
import { expect, test } from 'vitest';
import { urlAs } from './role-passwords.ts';

test.each([
  ['postgres://owner:secret@db:6000/fel?sslmode=disable', 'db', 6000],
  ['postgres://owner@localhost/fel?host=/cloudsql/a:b:c', '/cloudsql/a:b:c', 5432],
  ['postgres:///fel?host=/tmp/sock&port=6000&user=owner&password=secret', '/tmp/sock', 6000],
  ['postgres://owner@/fel?host=/tmp/sock&port=6000', '/tmp/sock', 6000],
  ['postgresql://owner:s%2Fcret@/fel?host=/tmp/sock', '/tmp/sock', 5432],
  ['postgres://owner:secret@%2Ftmp%2Fsock:6000/fel', '/tmp/sock', 6000],
])('another role connects where %s does', (url, host, port) => {
  const client = new pg.Client({ connectionString: urlAs(url, 'felucca_app', 'p%40 &/?') });
  const { user, password, database } = client;
  expect([client.host, client.port, database]).toEqual([host, port, 'fel']);
  expect([user, password]).toEqual(['felucca_app', 'p%40 &/?']);
});
