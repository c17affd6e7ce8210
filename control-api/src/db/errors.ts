/** SQLSTATE of a Postgres error, undefined for anything else. */
export function sqlState(error: unknown): string | undefined {
  if (error === null || typeof error !== 'object' || !('code' in error)) return undefined;
  return typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined;
}

/** Name of the violated constraint or unique index. */
export function violatedConstraint(error: unknown): string | undefined {
  if (error === null || typeof error !== 'object' || !('constraint' in error)) return undefined;
  return typeof error.constraint === 'string' ? error.constraint : undefined;
}

export const UNIQUE_VIOLATION = '23505';
export const LOCK_NOT_AVAILABLE = '55P03';

/** For a statement's `catch`. @throws what `told` makes when this unique constraint was violated, else the error itself */
export const whenTaken =
  (constraint: string, told: () => Error) =>
  (error: unknown): never => {
    throw sqlState(error) === UNIQUE_VIOLATION && violatedConstraint(error) === constraint ? told() : error;
  };

/** Serialization failure, deadlock, lock timeout: nothing was done, the caller may try again. */
export const RETRYABLE_STATES: ReadonlySet<string> = new Set(['40001', '40P01', '55P03', '57014']);
/**
 * Admin shutdown, crash, cannot connect now, too many connections, connection failures; no room on the disk, no memory, a
 * disk that fails.
 */
export const UNAVAILABLE_STATES: ReadonlySet<string> = new Set([
  '57P01',
  '57P02',
  '57P03',
  '25P03',
  '53300',
  '53100',
  '53200',
  '58030',
  '08000',
  '08006',
  '08001',
]);
