/** Where a command speaks: what it found goes to stdout, what it is doing and why it failed to stderr. */
export interface Terminal {
  /** Data. */
  out(text: string): void;
  /** Progress and problems, for a person. */
  say(text: string): void;
  /** stdout is a terminal: a picture may be drawn again in place. */
  readonly isScreen: boolean;
  readonly hasColors: boolean;
  /** A person sits there and can answer. */
  readonly canAsk: boolean;
  ask(question: string): Promise<string>;
  now(): Date;
  sleep(ms: number): Promise<void>;
}
