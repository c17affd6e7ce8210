import { plainWords, type SchemaIssue } from '@felucca/contract';
import { Problem } from '../http/problems.ts';

/** Zod's findings as one problem that names each field. */
export function invalidBody(what: string, issues: readonly SchemaIssue[]): Problem {
  const errors = issues
    .slice(0, 20)
    .flatMap((issue) => plainWords(issue))
    .map(({ path, ...finding }) => ({ pointer: path, ...finding }));
  return new Problem('INVALID', `The ${what} is not valid; see errors.`, { errors });
}
