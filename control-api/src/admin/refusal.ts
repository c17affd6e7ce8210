/** What is not done, and what to do about it. */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}
