import type { Lane } from './lane.ts';

/** One experiment that leaves its lane as it found it. */
export interface Trial {
  /** The same in every run with the same seed: `--only` takes it. */
  id: string;
  /** What it covers; undefined for what is not about a single field. */
  leaf?: string;
  /** Writes of specs that it makes, about. */
  operations: number;
  /** @throws with what was wrong. */
  run(lane: Lane): Promise<void>;
}
