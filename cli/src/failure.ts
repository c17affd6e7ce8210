/** What was asked for cannot be done or read: the command ends with exit code 2. */
export class Failure extends Error {
  override name = 'Failure';
  /** What to do about it. */
  readonly remedy: string | undefined;

  constructor(message: string, remedy?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.remedy = remedy;
  }
}

/** All is well; something is not as it should be; the question could not be answered. */
export const EXIT = { ok: 0, wrong: 1, failed: 2 } as const;
