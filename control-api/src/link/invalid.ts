import { Problem } from '../http/problems.ts';

/** Zod's findings as one problem that names each field. */
export function invalidBody(
  what: string,
  issues: readonly { path: PropertyKey[]; message: string }[],
): Problem {
  return new Problem('INVALID', `The ${what} is not valid; see errors.`, {
    errors: issues
      .slice(0, 20)
      .map(({ path, message }) => ({ pointer: `/${path.map(String).join('/')}`, message })),
  });
}
