import { type Problem, pointer, quoteList } from './blueprint/problem.ts';

/** Where the message says it all, no remedy repeats it. */
export type Finding = Omit<Problem, 'remedy'> & { remedy?: string };

/** `1 child`, `2 children`. */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;

/**
 * What an API server said, in one line, for tables and conditions. Server-side apply prints values as Go does:
 * https://github.com/kubernetes-sigs/structured-merge-diff/blob/v6.3.3/typed/validate.go
 */
export const apiServerWords = (message: string): string =>
  message
    .replace(/&value\.valueUnstructured\{Value:(.*)\}/g, '$1')
    .replace(/(?:map\[string\]|\[\])interface \{\}/g, '')
    .replace(/\s+/g, ' ')
    .trim();

/** A schema's finding, as zod gives it; `path` may be a JSON pointer already. */
export interface SchemaIssue {
  code: string;
  path: readonly PropertyKey[] | string;
  message: string;
  expected?: unknown;
  values?: unknown;
  keys?: unknown;
  origin?: unknown;
  minimum?: unknown;
  maximum?: unknown;
  inclusive?: unknown;
  format?: unknown;
}

/**
 * Says it in the words of whoever wrote the input: field, reason, remedy.
 * @param known names of the top-level fields, to say what there is instead of an unknown one
 */
export function plainWords(issue: SchemaIssue, known: readonly string[] = []): Finding[] {
  const path = typeof issue.path === 'string' ? issue.path : pointer('', ...issue.path.map(String));
  const one = (message: string, remedy?: string): Finding[] => [
    { path, message, ...(remedy ? { remedy } : {}) },
  ];
  switch (issue.code) {
    case 'unrecognized_keys':
      return (issue.keys as string[]).map((key) => ({
        path: pointer(path, key),
        message: 'is not known here',
        remedy: insteadOf(key, path === '' ? known : []),
      }));
    case 'invalid_type':
      return issue.message.endsWith('received undefined')
        ? one('is required', `send ${typeName(issue.expected)}`)
        : one(`must be ${typeName(issue.expected)}`);
    case 'invalid_value': {
      const values = issue.values as unknown[];
      return one(
        values.length === 1
          ? `must be ${JSON.stringify(values[0])}`
          : `must be one of ${quoteList(values.map(String))}`,
      );
    }
    case 'too_small':
      return one(`must ${bound(issue, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)}`);
    case 'too_big':
      return one(`must ${bound(issue, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)}`);
    case 'invalid_format':
      // A schema that has a better text than its library says itself what it wants.
      return one(issue.message.startsWith('Invalid') ? formatText(issue.format) : issue.message);
    case 'invalid_union':
      return one('has none of the forms that are allowed here');
    default:
      return one(issue.message);
  }
}

function insteadOf(key: string, known: readonly string[]): string {
  if (known.length === 0) return 'leave it out';
  const bare = key.toLowerCase().replaceAll(/[-_]/g, '');
  const near = known.find((name) => name.toLowerCase() === bare);
  return near ? `write it as "${near}"` : `leave it out; there is ${known.join(', ')}`;
}

function typeName(expected: unknown): string {
  if (expected === 'int') return 'a whole number';
  if (expected === 'record' || expected === 'object') return 'an object';
  return `${/^[aeiou]/.test(String(expected)) ? 'an' : 'a'} ${String(expected)}`;
}

function bound({ origin }: SchemaIssue, word: string, limit: unknown): string {
  const many = (what: string) => `have ${word} ${counted(Number(limit), what)}`;
  if (origin === 'string') return many('character');
  if (origin === 'array' || origin === 'set') return many('item');
  if (origin === 'object' || origin === 'map') return many('field');
  return `be ${word} ${String(limit)}`;
}

const formatText = (format: unknown): string =>
  format === 'regex' ? 'has not the form that is wanted here' : `must be a valid ${String(format)}`;
