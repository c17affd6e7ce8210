import { expect, test } from 'vitest';
import { placeOf } from './database.ts';

test.each([
  ['postgres://owner:secret@db:6000/fel', 'db:6000'],
  ['postgres://owner:secret@db/fel', 'db:5432'],
  ['postgres://owner:secret@/fel?host=/tmp/sock&port=6000', '/tmp/sock:6000'],
  ['postgres:///fel?host=/tmp/sock&user=owner', '/tmp/sock:5432'],
])('%s is the server at %s', (url, place) => {
  expect(placeOf(url)).toBe(place);
});

test('a URL that nobody understands is refused by the name of its variable, and not repeated', () => {
  const refused = () => placeOf('postgres://owner:secret@:6000/fel');
  expect(refused).toThrow(/^DATABASE_URL cannot be used \(Invalid URL\); write postgres:/);
  expect(refused).not.toThrow(/secret/);
});
