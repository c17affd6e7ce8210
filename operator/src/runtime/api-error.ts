import { apiServerWords } from '@felucca/contract';

/** The API server answered with an error, or (status 0) did not answer. */
export class ApiError extends Error {
  override name = 'ApiError';
  /** HTTP status; 0 when no answer came. */
  readonly status: number;
  /** `metav1.Status.reason`, such as `NotFound`, `Conflict`, `AlreadyExists`, `Expired`. */
  readonly reason: string;
  readonly retryAfterMs?: number;
  /** `metav1.Status.details.causes`: of an invalid object, a message for each field. */
  readonly causes: readonly string[];
  constructor(
    status: number,
    reason: string,
    message: string,
    options: { retryAfterMs?: number; causes?: readonly string[]; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = status;
    this.reason = reason;
    this.causes = options.causes ?? [];
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

const hasStatus = (error: unknown, status: number): boolean =>
  error instanceof ApiError && error.status === status;
export const isNotFound = (error: unknown): boolean => hasStatus(error, 404);
/** Another writer was first, an apply conflicts with another manager, or a precondition does not hold. */
export const isConflict = (error: unknown): boolean => hasStatus(error, 409);
/** The resourceVersion is too old to go on from. */
export const isGone = (error: unknown): boolean => hasStatus(error, 410);

/** Makes an ApiError of a `metav1.Status` body, or of whatever came instead. */
export function apiErrorOf(
  status: number,
  what: string,
  body: Buffer | string,
  retryAfterMs?: number,
): ApiError {
  const text = body.toString();
  const options = retryAfterMs === undefined ? {} : { retryAfterMs };
  try {
    const parsed = JSON.parse(text) as {
      reason?: string;
      message?: string;
      details?: { causes?: { message?: string }[] };
    };
    if (parsed.message) {
      const causes = (parsed.details?.causes ?? []).map(({ message = '' }) => message);
      const message = `${what}: ${apiServerWords(parsed.message)}`;
      return new ApiError(status, parsed.reason ?? '', message, { ...options, causes });
    }
  } catch {
    // Not JSON: a proxy or the server's text answer; shown as it is.
  }
  return new ApiError(status, '', `${what}: HTTP ${status} ${apiServerWords(text.slice(0, 500))}`, options);
}
