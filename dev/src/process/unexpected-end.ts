import type { ExitInfo } from './child.ts';

/** Further ends in a row are a crash loop, which the log explains better than one more start. */
const MAX_RESTARTS = 5;
/** Who lived as long as this did not end because of its last start. */
const CALM_MS = 60_000;

export interface Watched {
  readonly name: string;
  readonly logPath: string;
  readonly say: (line: string) => void;
  /** Absent where only a new start of everything helps. */
  readonly restart?: () => Promise<unknown>;
}

/** For `onExit` of a process whose data is kept: says in a line that it ended, and what is done or to do about it. */
export function unexpectedEnd({ name, logPath, say, restart }: Watched): (exit: ExitInfo) => void {
  let restarts = 0;
  let lastMs = Number.NEGATIVE_INFINITY;
  return ({ code, signal }) => {
    const nowMs = performance.now();
    restarts = nowMs - lastMs > CALM_MS ? 1 : restarts + 1;
    lastMs = nowMs;
    const again = restart !== undefined && restarts <= MAX_RESTARTS;
    const what = again ? 'it is started again' : REMEDY;
    say(`${name} ended (${signal ?? `code ${code}`}); ${what}; log ${logPath}`);
    if (again)
      restart().catch((error: Error) =>
        say(`${name} could not be started again (${error.message}); ${REMEDY}`),
      );
  };
}

const REMEDY = 'to mend it, press Ctrl-C and run "make up" again: the data is kept';
