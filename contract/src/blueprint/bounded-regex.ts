const MAX_LENGTH = 128;
const MAX_UNBOUNDED = 3;

/**
 * JavaScript's engine backtracks, so only patterns that cannot explode are let in: no repeated group
 * that itself repeats or chooses, no back-references, no look-around, few unbounded repeats. With an
 * input of at most 256 characters that bounds a match to a cubic number of steps.
 */
export function regexProblem(pattern: unknown): { message: string; remedy: string } | undefined {
  if (typeof pattern !== 'string' || pattern.length > MAX_LENGTH)
    return { message: `must be a text of at most ${MAX_LENGTH} characters`, remedy: 'shorten the pattern' };
  try {
    new RegExp(pattern, 'u');
  } catch (error) {
    return { message: `is not a regular expression: ${(error as Error).message}`, remedy: 'correct it' };
  }
  if (/\\[1-9]|\\k|\(\?[^:]/.test(pattern))
    return {
      message: 'back-references and look-around are not allowed: they can take exponential time',
      remedy: 'write the pattern with classes, plain groups and repeats',
    };
  const groups: { risky: boolean }[] = [{ risky: false }];
  let unbounded = 0;
  let closed: { risky: boolean } | undefined;
  for (let i = 0; i < pattern.length; i += 1) {
    const char = pattern[i];
    const repeat = repeatAt(pattern, i);
    if (repeat) {
      if (repeat.unbounded) unbounded += 1;
      if (closed?.risky && repeat.many)
        return {
          message: 'a repeated group contains a repeat or a choice: it can take exponential time',
          remedy: 'repeat a character class instead of a group',
        };
      const group = groups.at(-1);
      if (group && repeat.many) group.risky = true;
      i += repeat.length - 1;
      closed = undefined;
      continue;
    }
    closed = undefined;
    if (char === '\\') i += 1;
    else if (char === '[') i = classEnd(pattern, i);
    else if (char === '(') {
      groups.push({ risky: false });
      if (pattern[i + 1] === '?') i += 2;
    } else if (char === ')') {
      closed = groups.pop();
      const outer = groups.at(-1);
      if (outer && closed?.risky) outer.risky = true;
    } else if (char === '|') {
      const group = groups.at(-1);
      if (group) group.risky = true;
    }
  }
  return unbounded > MAX_UNBOUNDED
    ? {
        message: `has ${unbounded} unbounded repeats, at most ${MAX_UNBOUNDED} are allowed`,
        remedy: 'bound the repeats with {0,n}',
      }
    : undefined;
}

function repeatAt(
  pattern: string,
  index: number,
): { length: number; many: boolean; unbounded: boolean } | undefined {
  const match = /^(?:([*+?])|\{(\d+)(,(\d*))?\})\??/.exec(pattern.slice(index, index + 24));
  if (!match) return undefined;
  const [all, sign, low, comma, high] = match;
  if (sign) return { length: all.length, many: sign !== '?', unbounded: sign !== '?' };
  const most = comma === undefined ? Number(low) : high === '' ? Number.POSITIVE_INFINITY : Number(high);
  return { length: all.length, many: most > 1, unbounded: most > 256 };
}

function classEnd(pattern: string, start: number): number {
  for (let i = start + 1; i < pattern.length; i += 1) {
    if (pattern[i] === '\\') i += 1;
    else if (pattern[i] === ']') return i;
  }
  return pattern.length;
}
