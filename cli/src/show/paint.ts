/** Colours say nothing that the words beside them do not. */
export interface Paint {
  good(text: string): string;
  bad(text: string): string;
  warn(text: string): string;
  dim(text: string): string;
  strong(text: string): string;
}

const code = (on: number, off: number) => (text: string) =>
  text === '' ? '' : `\u001b[${on}m${text}\u001b[${off}m`;
const plain = (text: string): string => text;

const COLORS: Paint = {
  good: code(32, 39),
  bad: code(31, 39),
  warn: code(33, 39),
  dim: code(2, 22),
  strong: code(1, 22),
};
const PLAIN: Paint = { good: plain, bad: plain, warn: plain, dim: plain, strong: plain };

export const paintFor = (hasColors: boolean): Paint => (hasColors ? COLORS : PLAIN);
