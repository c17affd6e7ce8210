import { z } from 'zod';

interface ProblemKind {
  status: number;
  title: string;
  /** The same request may succeed later. */
  retryable: boolean;
  /** Who can do something about it. */
  audience: 'caller' | 'operator';
}

/** Every error the API answers with: stable codes, RFC 9457. */
export const PROBLEMS = {
  MALFORMED: { status: 400, title: 'The request cannot be read', retryable: false, audience: 'caller' },
  UNAUTHENTICATED: { status: 401, title: 'No valid credential', retryable: false, audience: 'caller' },
  FORBIDDEN: { status: 403, title: 'The key may not do this', retryable: false, audience: 'caller' },
  NOT_FOUND: { status: 404, title: 'Not found', retryable: false, audience: 'caller' },
  METHOD_NOT_ALLOWED: {
    status: 405,
    title: 'The method does not exist here',
    retryable: false,
    audience: 'caller',
  },
  NAME_TAKEN: { status: 409, title: 'The name is taken', retryable: false, audience: 'caller' },
  IMMUTABLE: { status: 409, title: 'It cannot be changed', retryable: false, audience: 'caller' },
  IN_USE: { status: 409, title: 'It is in use', retryable: false, audience: 'caller' },
  CONFLICT: { status: 409, title: 'The state does not allow it', retryable: false, audience: 'caller' },
  PRECONDITION_FAILED: {
    status: 412,
    title: 'It has changed since you read it',
    retryable: false,
    audience: 'caller',
  },
  TOO_LARGE: { status: 413, title: 'The body is too large', retryable: false, audience: 'caller' },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    title: 'The content type is not supported',
    retryable: false,
    audience: 'caller',
  },
  DRIFT_NOT_ACCEPTABLE: {
    status: 409,
    title: 'The drifted field is not the value of one parameter',
    retryable: false,
    audience: 'caller',
  },
  CANNOT_SEAL: {
    status: 409,
    title: 'The data plane can take no sensitive values yet',
    retryable: true,
    audience: 'operator',
  },
  INVALID: { status: 422, title: 'The input is not valid', retryable: false, audience: 'caller' },
  IDEMPOTENCY_MISMATCH: {
    status: 422,
    title: 'The idempotency key was used for another request',
    retryable: false,
    audience: 'caller',
  },
  PROTOCOL_VERSION: {
    status: 426,
    title: 'The operator speaks another protocol version',
    retryable: false,
    audience: 'operator',
  },
  PRECONDITION_REQUIRED: { status: 428, title: 'If-Match is missing', retryable: false, audience: 'caller' },
  RATE_LIMITED: { status: 429, title: 'Too many requests', retryable: true, audience: 'caller' },
  INTERNAL: { status: 500, title: 'Something went wrong here', retryable: true, audience: 'operator' },
  UNAVAILABLE: { status: 503, title: 'Not available at the moment', retryable: true, audience: 'operator' },
} as const satisfies Record<string, ProblemKind>;
export type ProblemCode = keyof typeof PROBLEMS;

export interface FieldProblem {
  /** JSON pointer into the request body (or the query). */
  pointer: string;
  message: string;
  remedy?: string | undefined;
}

export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  code: z.string(),
  detail: z.string(),
  requestId: z.string(),
  retryable: z.boolean(),
  errors: z
    .array(z.object({ pointer: z.string(), message: z.string(), remedy: z.string().optional() }))
    .optional(),
});
export type ProblemBody = z.infer<typeof problemSchema>;

/** What a handler throws; the server turns it into application/problem+json. */
export class Problem extends Error {
  override name = 'Problem';
  readonly code: ProblemCode;
  readonly errors: readonly FieldProblem[] | undefined;
  readonly retryAfterSeconds: number | undefined;

  /** @param detail what, why, and what to do */
  constructor(
    code: ProblemCode,
    detail: string,
    options: { errors?: readonly FieldProblem[]; retryAfterSeconds?: number } = {},
  ) {
    super(detail);
    this.code = code;
    this.errors = options.errors;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  get status(): number {
    return PROBLEMS[this.code].status;
  }

  body(requestId: string): ProblemBody {
    const { title, status, retryable } = PROBLEMS[this.code];
    return {
      type: `https://felucca.dev/problems/${this.code.toLowerCase().replaceAll('_', '-')}`,
      title,
      status,
      code: this.code,
      detail: this.message,
      requestId,
      retryable,
      ...(this.errors ? { errors: this.errors.map((error) => ({ ...error })) } : {}),
    } as ProblemBody;
  }
}

/** Missing and forbidden look the same from outside, so that names of others can't be probed. */
export const notFound = (kind: string): Problem =>
  new Problem(
    'NOT_FOUND',
    `There is no such ${kind} that this key can see; check the name and the key's organization.`,
  );
