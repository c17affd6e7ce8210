import { RE2JS } from 're2js';

const MAX_LENGTH = 256;
/** Instructions of the compiled pattern; with the input's length it bounds the work of a match. */
const MAX_PROGRAM = 5_000;
const MAX_CACHED = 1_000;
const cache = new Map<string, RE2JS>();

/**
 * Why a pattern is not let in. Authors write the patterns and tenants the input, on the event loop of the API and
 * of the operator, so they run on an engine whose time is linear in the input, never on a backtracking one.
 */
export function patternProblem(pattern: unknown): { message: string; remedy: string } | undefined {
  if (typeof pattern !== 'string' || pattern.length > MAX_LENGTH)
    return { message: `must be a text of at most ${MAX_LENGTH} characters`, remedy: 'shorten the pattern' };
  try {
    if (compiled(pattern).programSize() <= MAX_PROGRAM) return undefined;
    return { message: 'is too large once its repeats are written out', remedy: 'use smaller repeat counts' };
  } catch (error) {
    return {
      message: `is not a regular expression of RE2: ${(error as Error).message}`,
      remedy:
        'write it with classes, groups and repeats of up to 1000; RE2 has no back-references and no look-around',
    };
  }
}

/** Whether the pattern occurs in the value, as in JSON Schema; anchor it to match the whole. */
export const matchesPattern = (pattern: string, value: string): boolean =>
  compiled(pattern).matcher(value).find();

function compiled(pattern: string): RE2JS {
  let program = cache.get(pattern);
  if (!program) {
    program = RE2JS.compile(pattern);
    if (cache.size >= MAX_CACHED) cache.delete(cache.keys().next().value as string);
    cache.set(pattern, program);
  }
  return program;
}
