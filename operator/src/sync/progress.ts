/** One step of the feed: a delta, or a whole snapshot. */
interface Step {
  epoch: string;
  to: string;
  settled: boolean;
}

/**
 * Turns settled operations into a durable cursor: it moves to a step only when that step and everything
 * before it have settled, in whatever order they did.
 */
export class Progress {
  epoch: string;
  cursor: string;
  private steps: Step[] = [];
  private readonly onAdvance: () => void;

  constructor(epoch: string, cursor: string, onAdvance: () => void) {
    this.epoch = epoch;
    this.cursor = cursor;
    this.onAdvance = onAdvance;
  }

  get received(): string {
    return this.steps.at(-1)?.to ?? this.cursor;
  }
  get inFlight(): boolean {
    return this.steps.length > 0;
  }

  track(epoch: string, to: string, work: Promise<unknown>): void {
    const step: Step = { epoch, to, settled: false };
    this.steps.push(step);
    void work.then(() => {
      step.settled = true;
      this.advance();
    });
  }

  /** Everything received counts under another epoch now. */
  adopt(epoch: string, cursor: string): void {
    this.steps = [];
    this.epoch = epoch;
    this.cursor = cursor;
    this.onAdvance();
  }

  private advance(): void {
    let moved = false;
    for (let step = this.steps[0]; step?.settled; step = this.steps[0]) {
      this.steps.shift();
      this.epoch = step.epoch;
      this.cursor = step.to;
      moved = true;
    }
    if (moved) this.onAdvance();
  }
}
