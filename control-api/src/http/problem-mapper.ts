import { plainWords } from '@felucca/contract';
import type { FastifyError } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { RETRYABLE_STATES, sqlState, UNAVAILABLE_STATES } from '../db/errors.ts';
import { Problem } from './problems.ts';

const NETWORK_CODES = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND']);

/**
 * The one place where errors become problems. Anything unknown is INTERNAL and says nothing of its inside.
 * @param knownFields of the part of the request that was refused
 */
export function toProblem(error: unknown, knownFields: (part: string) => readonly string[]): Problem {
  if (error instanceof Problem) return error;
  if (hasZodFastifySchemaValidationErrors(error))
    return new Problem('INVALID', 'Some fields are not valid; see errors.', {
      errors: error.validation.flatMap(({ keyword, instancePath, message = '', params }) =>
        plainWords(
          { ...params, code: keyword, path: instancePath === '/' ? '' : instancePath, message },
          knownFields((error as FastifyError).validationContext ?? 'body'),
        ).map(({ path, ...finding }) => ({ pointer: path, ...finding })),
      ),
    });
  const fastify = error as Partial<FastifyError>;
  if (fastify.code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new Problem('TOO_LARGE', 'The body is larger than 1 MiB; send less.');
  if (fastify.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new Problem(
      'UNSUPPORTED_MEDIA_TYPE',
      'Send application/json (PATCH also takes application/merge-patch+json).',
    );
  if (fastify.statusCode === 414)
    return new Problem('NOT_FOUND', 'A name in the path is too long; see /openapi.json.');
  if (typeof fastify.statusCode === 'number' && fastify.statusCode >= 400 && fastify.statusCode < 500)
    return new Problem('MALFORMED', `${fastify.message ?? 'The request cannot be read'}.`);
  const state = sqlState(error);
  if (state !== undefined && RETRYABLE_STATES.has(state))
    return new Problem(
      'UNAVAILABLE',
      'The database was too busy for this request; nothing was changed, try again.',
      {
        retryAfterSeconds: 1,
      },
    );
  // A net: what no check before found and Postgres refuses as a value is the caller's to correct.
  if (state?.startsWith('22'))
    return new Problem('INVALID', 'A value cannot be stored; check dates, numbers and special characters.');
  if (isUnavailable(error, state))
    return new Problem(
      'UNAVAILABLE',
      'The database cannot be reached, or cannot work; nothing was acknowledged, try again.',
      {
        retryAfterSeconds: 2,
      },
    );
  return new Problem(
    'INTERNAL',
    'Nothing was acknowledged; try again, and if it persists report the requestId.',
  );
}

function isUnavailable(error: unknown, state: string | undefined): boolean {
  if (state !== undefined) return UNAVAILABLE_STATES.has(state);
  if (!(error instanceof Error)) return false;
  const code = (error as NodeJS.ErrnoException).code;
  return (
    (code !== undefined && NETWORK_CODES.has(code)) ||
    /Connection terminated|timeout exceeded when trying to connect|[Tt]imeout expired|Query read timeout|not queryable/.test(
      error.message,
    )
  );
}
