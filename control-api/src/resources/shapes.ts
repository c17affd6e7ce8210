import { NAME_PATTERN, NAME_RULE } from '@felucca/contract';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import type { Answer } from '../http/idempotency.ts';
import { Problem, problemSchema } from '../http/problems.ts';

export const nameSchema = z.string().regex(NAME_PATTERN, `must be ${NAME_RULE}`);

/** Any error of any route. */
export const problems = { '4xx': problemSchema, '5xx': problemSchema } as const;

export const pageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(200).optional(),
});

/** Keyset cursor: the last name of the page before, opaque to the caller. */
export const encodeCursor = (last: string): string => Buffer.from(last).toString('base64url');
export function decodeCursor(cursor: string | undefined): string {
  if (cursor === undefined) return '';
  const name = Buffer.from(cursor, 'base64url').toString();
  if (encodeCursor(name) !== cursor || !/^[ -~]{0,128}$/.test(name)) throw foreignCursor();
  return name;
}
/** The same of a list that is ordered by id. */
export function decodeIdCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const id = decodeCursor(cursor);
  if (!z.uuid().safeParse(id).success) throw foreignCursor();
  return id;
}
const foreignCursor = (): Problem =>
  new Problem(
    'MALFORMED',
    '"cursor" is not one that this list returned; leave it out to start at the beginning.',
  );

/** A page of rows that were queried with limit + 1. */
export function page<Row, Item>(
  rows: readonly Row[],
  limit: number,
  item: (row: Row) => Item,
  key: (row: Row) => string,
) {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(item),
    ...(rows.length > limit && last !== undefined ? { nextCursor: encodeCursor(key(last)) } : {}),
  };
}

export const listOf = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), nextCursor: z.string().optional() });

export function sendAnswer(reply: FastifyReply, answer: Answer & { replayed: boolean }) {
  if (answer.replayed) reply.header('idempotent-replayed', 'true');
  return reply.code(answer.status).headers(answer.headers).send(answer.body);
}
