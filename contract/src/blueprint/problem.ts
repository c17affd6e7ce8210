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

const BETWEEN = '; ';
/** Each begins with its path. */
const BOUNDARY = /; (?=\/|and \d+ more$)/;
const ROOM_FOR_REST = BETWEEN.length + 'and 50 more'.length;

/** As one text, of which a condition is made: as many as fit, at least one, and how many more there are. */
export function tellProblems(problems: readonly Problem[], maxLength: number): string {
  let length = 0;
  const lines = problems.map(({ path, message, remedy }) => `${path || '/'} ${message}: ${remedy}`);
  const shown = lines.filter((line, index) => {
    length += line.length + BETWEEN.length;
    return index === 0 || length + ROOM_FOR_REST <= maxLength;
  });
  const rest = lines.length - shown.length;
  return [...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join(BETWEEN);
}

/** The way back, for a person: one problem a line. */
export const problemLines = (text: string): string[] => text.split(BOUNDARY);

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

/** What a map itself has under a name; maps may have keys such as `constructor`, under which every object inherits something. */
export const ownValue = <T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined =>
  record && Object.hasOwn(record, name) ? record[name] : undefined;

export const quoteList = (items: Iterable<string>): string => {
  const list = [...items];
  if (list.length === 0) return 'none';
  const shown = list.slice(0, 20).map((item) => `"${item}"`);
  return list.length > 20 ? `${shown.join(', ')} and ${list.length - 20} more` : shown.join(', ');
};
