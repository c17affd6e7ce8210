/** One finding, for a person: where (JSON pointer), what is wrong and why, and what to do. */
export interface Problem {
  path: string;
  message: string;
  remedy: string;
}

/** RFC 6901. */
export const pointer = (base: string, ...segments: (string | number)[]): string =>
  base +
  segments.map((segment) => `/${String(segment).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

/** Fields of a JSON pointer, decoded. */
export const pointerSegments = (path: string): string[] =>
  path === ''
    ? []
    : path
        .slice(1)
        .split('/')
        .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));

/** A validation never returns more than this: the first ones are the ones people fix. */
export const MAX_PROBLEMS = 50;

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

export const quoteList = (items: Iterable<string>): string => {
  const list = [...items];
  if (list.length === 0) return 'none';
  const shown = list.slice(0, 20).map((item) => `"${item}"`);
  return list.length > 20 ? `${shown.join(', ')} and ${list.length - 20} more` : shown.join(', ');
};
