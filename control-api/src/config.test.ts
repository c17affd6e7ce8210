import { expect, test } from 'vitest';
import { readConfig } from './config.ts';

const read = (more: Record<string, string>) =>
  readConfig({ DATABASE_URL: 'postgres://u@db/fel', FELUCCA_KEY_DIR: '/keys', ...more });

test.each([
  'postgres://u:p@db:6000/fel',
  'postgresql://u:p@/fel?host=/tmp/sock&port=6000',
  'postgres:///fel?host=/tmp/sock&user=u&password=p',
])('%s names a database', (url) => {
  expect(read({ DATABASE_URL: url, FELUCCA_APP_DATABASE_URL: url })).toMatchObject({
    databaseUrl: url,
    appDatabaseUrl: url,
  });
});

test.each([
  ['mysql://u:secret@db/fel', /: must be a postgres:\/\/ URL$/],
  [
    'postgres://u:secret@:6000/fel',
    /: cannot be used \(Invalid URL\); write postgres:\/\/role:password@host/,
  ],
  ['postgres://u:secret#@db/fel', /: cannot be used \(Invalid URL\); write postgres:\/\/role:password@host/],
  ['postgres://u:secret@db/fel?sslrootcert=/none', /: cannot be used \(ENOENT.*'\/none'\)/],
])('%s is refused by the name of its variable, and not repeated', (url, said) => {
  for (const name of ['DATABASE_URL', 'FELUCCA_FEED_DATABASE_URL']) {
    const refused = () => read({ [name]: url });
    expect(refused).toThrow(new RegExp(`\\n {2}${name}${said.source}`, said.flags));
    expect(refused).not.toThrow(/secret/);
  }
});

test('keys that are lost are told by their kids', () => {
  expect(read({}).lostSigningKeys).toEqual([]);
  expect(read({ FELUCCA_LOST_SIGNING_KEYS: 'fs_a-1,fs_b' }).lostSigningKeys).toEqual(['fs_a-1', 'fs_b']);
  expect(() => read({ FELUCCA_LOST_SIGNING_KEYS: '1' })).toThrow(
    /FELUCCA_LOST_SIGNING_KEYS: must be the kids/,
  );
});
