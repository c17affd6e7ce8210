import { expect, test } from 'vitest';
import { asOne } from './as-one.ts';

test('each part keeps its own values under new numbers', () => {
  const statement = asOne(
    {
      one: { text: 'INSERT INTO a VALUES ($1, $2, $1) RETURNING x', values: ['p', 'q'] },
      two: { text: 'SELECT 1' },
    },
    { text: 'SELECT f($2, $1) FROM one', values: ['r', 's'] },
  );
  expect(statement).toEqual({
    text: 'WITH one AS (INSERT INTO a VALUES ($1, $2, $1) RETURNING x), two AS (SELECT 1) SELECT f($4, $3) FROM one',
    values: ['p', 'q', 'r', 's'],
  });
});
