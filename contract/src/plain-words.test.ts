import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { plainWords } from './plain-words.ts';

const schema = z.strictObject({
  name: z.string().min(1).max(3),
  count: z.number().int().gt(0).max(9).optional(),
  mode: z.enum(['a', 'b']).optional(),
  one: z.literal('x').optional(),
  list: z
    .array(z.strictObject({ id: z.string() }))
    .min(1)
    .optional(),
  map: z.record(z.string(), z.string()).optional(),
  id: z.uuid().optional(),
  key: z.string().regex(/^k/).optional(),
  ruled: z.string().regex(/^r/, 'must begin with r').optional(),
  either: z.union([z.string(), z.number()]).optional(),
  dryRun: z.boolean().optional(),
});
const said = (input: object) => {
  const parsed = schema.safeParse({ name: 'n', ...input });
  const issues = parsed.error?.issues ?? [];
  return issues.flatMap((issue) => plainWords(issue, Object.keys(schema.shape))).map(Object.values);
};

describe('a finding in plain words', () => {
  test.each([
    [{ name: undefined }, ['/name', 'is required', 'send a string']],
    [{ name: 1 }, ['/name', 'must be a string']],
    [{ name: '' }, ['/name', 'must have at least 1 character']],
    [{ name: 'long' }, ['/name', 'must have at most 3 characters']],
    [{ count: 1.5 }, ['/count', 'must be a whole number']],
    [{ count: 0 }, ['/count', 'must be more than 0']],
    [{ count: 10 }, ['/count', 'must be at most 9']],
    [{ mode: 'c' }, ['/mode', 'must be one of "a", "b"']],
    [{ one: 'y' }, ['/one', 'must be "x"']],
    [{ list: [] }, ['/list', 'must have at least 1 item']],
    [{ list: [{ id: 'x', 'a/b': 1 }] }, ['/list/0/a~1b', 'is not known here', 'leave it out']],
    [{ map: 'x' }, ['/map', 'must be an object']],
    [{ id: 'x' }, ['/id', 'must be a valid uuid']],
    [{ key: 'x' }, ['/key', 'has not the form that is wanted here']],
    [{ ruled: 'x' }, ['/ruled', 'must begin with r']],
    [{ either: [] }, ['/either', 'has none of the forms that are allowed here']],
    [{ 'dry-run': true }, ['/dry-run', 'is not known here', 'write it as "dryRun"']],
    [{ z: 1 }, ['/z', 'is not known here', expect.stringMatching(/^leave it out; there is name, count, /)]],
  ])('%j', (input, expected) => {
    expect(said(input)).toEqual([expected]);
  });
});
