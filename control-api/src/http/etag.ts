import { Problem } from './problems.ts';

/** Strong ETag of a resource: its id and generation. */
export const etagOf = (row: { id: string; generation: number }): string => `"${row.id}.${row.generation}"`;

/** @throws Problem PRECONDITION_REQUIRED, PRECONDITION_FAILED */
export function requireMatch(ifMatch: string | undefined, current: string): void {
  if (ifMatch === undefined || ifMatch === '')
    throw new Problem(
      'PRECONDITION_REQUIRED',
      'Send If-Match with the ETag of the version that you read, so that no change of somebody else is lost.',
    );
  if (ifMatch !== '*' && !ifMatch.split(',').some((tag) => tag.trim() === current))
    throw new Problem(
      'PRECONDITION_FAILED',
      `It is now ${current}; read it again, apply your change to that and repeat.`,
    );
}
