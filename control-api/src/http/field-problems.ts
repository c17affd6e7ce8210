import type { FieldProblem } from './problems.ts';

interface Issue {
  keyword: string;
  instancePath: string;
  message?: string | undefined;
  params: Record<string, unknown>;
}

const pointerPart = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1');
const listed = (values: readonly unknown[]): string =>
  values.map((value) => JSON.stringify(value)).join(', ');

/**
 * A schema library's finding in the caller's words: field, reason, remedy.
 * @param known names of the top-level fields, to say what there is instead of an unknown one
 */
export function fieldProblems(issue: Issue, known: readonly string[]): FieldProblem[] {
  const pointer = issue.instancePath === '/' ? '' : issue.instancePath;
  const { params } = issue;
  const one = (message: string, remedy?: string): FieldProblem[] => [
    { pointer, message, ...(remedy ? { remedy } : {}) },
  ];
  switch (issue.keyword) {
    case 'unrecognized_keys':
      return (params.keys as string[]).map((key) => ({
        pointer: `${pointer}/${pointerPart(key)}`,
        message: 'is not known here',
        ...remedyFor(key, pointer === '' ? known : []),
      }));
    case 'invalid_type':
      return issue.message?.endsWith('received undefined')
        ? one('is required', `send ${a(String(params.expected))}`)
        : one(`must be ${a(String(params.expected))}`);
    case 'invalid_value': {
      const values = params.values as unknown[];
      return one(values.length === 1 ? `must be ${listed(values)}` : `must be one of ${listed(values)}`);
    }
    case 'too_small':
      return one(`must ${boundOf(params, 'at least', params.minimum)}`);
    case 'too_big':
      return one(`must ${boundOf(params, 'at most', params.maximum)}`);
    case 'invalid_format':
      // A pattern of ours says itself what it wants.
      return one(
        issue.message?.startsWith('Invalid') ? `must be a valid ${params.format}` : `${issue.message}`,
      );
    case 'invalid_union':
      return one('has none of the forms that are allowed here', 'see /openapi.json');
    default:
      return one(issue.message ?? 'is not valid');
  }
}

function remedyFor(key: string, known: readonly string[]): { remedy?: string } {
  if (known.length === 0) return { remedy: 'leave it out' };
  const near = known.find((name) => name.toLowerCase() === key.toLowerCase().replaceAll(/[-_]/g, ''));
  return { remedy: near ? `write it as "${near}"` : `leave it out; there is ${known.join(', ')}` };
}

const a = (type: string): string =>
  type === 'int' ? 'a whole number' : `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`;

function boundOf(params: Issue['params'], word: string, bound: unknown): string {
  const exact = params.inclusive === false ? (word === 'at least' ? 'more than' : 'less than') : word;
  if (params.origin === 'string') return `have ${exact} ${bound} characters`;
  if (params.origin === 'array' || params.origin === 'set') return `have ${exact} ${bound} items`;
  return `be ${exact} ${bound}`;
}
