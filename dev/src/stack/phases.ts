/** Runs one named step of a start, says how long it took, and names it when it fails. */
export interface Phases {
  run<T>(title: string, work: (say: (detail: string) => void) => Promise<T>): Promise<T>;
  say(line: string): void;
}

export function createPhases(onProgress: (line: string) => void): Phases {
  const started = performance.now();
  const at = () => `[${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s]`;
  return {
    say: (line) => onProgress(`${at()} ${line}`),
    async run(title, work) {
      const begun = performance.now();
      const took = () => `${((performance.now() - begun) / 1000).toFixed(1)} s`;
      onProgress(`${at()} ${title} …`);
      try {
        const result = await work((detail) => onProgress(`${at()}   ${detail}`));
        onProgress(`${at()} ${title}: done in ${took()}`);
        return result;
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        throw new Error(`${title} failed after ${took()}: ${why}`, { cause: error });
      }
    },
  };
}
