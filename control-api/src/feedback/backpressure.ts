import { Problem } from '../http/problems.ts';

export interface BackpressureOptions {
  /** Reports whose body is being read or that wait to be stored, and the bytes of their bodies. */
  maxReports: number;
  maxBytes: number;
  random: () => number;
}

/**
 * What reports under way may hold of this process. Beyond it operators are told to come later, before their body is read:
 * they have one pending item for each object, so that waiting costs them nothing, and us no memory.
 */
export interface Backpressure {
  /** @returns what must be called when the report is over @throws Problem RATE_LIMITED */
  enter(bytes: number): () => void;
  readonly reports: number;
}

export function createBackpressure({ maxReports, maxBytes, random }: BackpressureOptions): Backpressure {
  let reports = 0;
  let held = 0;
  return {
    enter: (bytes) => {
      if (reports >= maxReports || held + bytes > maxBytes)
        throw new Problem('RATE_LIMITED', 'Many operators report at once; send the same report again.', {
          // Random: whoever was put off together must not come back together.
          retryAfterSeconds: 1 + Math.floor(random() * 5),
        });
      reports += 1;
      held += bytes;
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        reports -= 1;
        held -= bytes;
      };
    },
    get reports() {
      return reports;
    },
  };
}
