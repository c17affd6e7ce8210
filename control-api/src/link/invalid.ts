import { fieldProblems } from '../http/field-problems.ts';
import { Problem } from '../http/problems.ts';

interface Issue {
  code?: string;
  path: PropertyKey[];
  message: string;
}

/** Zod's findings as one problem that names each field. */
export function invalidBody(what: string, issues: readonly Issue[]): Problem {
  const errors = issues
    .slice(0, 20)
    .flatMap(({ code = '', path, message, ...params }) =>
      fieldProblems({ keyword: code, instancePath: `/${path.map(String).join('/')}`, message, params }, []),
    );
  return new Problem('INVALID', `The ${what} is not valid; see errors.`, { errors });
}
