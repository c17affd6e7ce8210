/** Texts that match a regular expression, for the expressions that schemas use: no look-around, no back-references. */
type Node =
  | { kind: 'chars'; ranges: [number, number][] }
  | { kind: 'sequence'; items: Node[] }
  | { kind: 'choice'; options: Node[] }
  | { kind: 'repeat'; item: Node; min: number; max: number };

/** Chooses a whole number from `low` to `high`: the least, the most, or a random one. */
export type Choose = (low: number, high: number) => number;
export const least: Choose = (low) => low;
export const most: Choose = (_, high) => high;

/** What an open repeat ends with. */
const OPEN_REPEAT = 12;
const ANY: [number, number][] = [[32, 126]];
const CLASSES: Record<string, [number, number][]> = {
  d: [[48, 57]],
  w: [
    [48, 57],
    [65, 90],
    [95, 95],
    [97, 122],
  ],
  s: [[32, 32]],
  S: [[33, 126]],
};

/** @throws for an expression that it cannot read. */
export function textFor(pattern: string, choose: Choose): string {
  const reader = new Reader(pattern);
  const node = reader.alternatives();
  if (!reader.atEnd) throw new Error(`cannot read the pattern ${pattern} at ${reader.at}`);
  return write(node, choose);
}

function write(node: Node, choose: Choose): string {
  switch (node.kind) {
    case 'chars': {
      const range = node.ranges[choose(0, node.ranges.length - 1)] ?? [32, 32];
      return String.fromCodePoint(choose(...range));
    }
    case 'sequence':
      return node.items.map((item) => write(item, choose)).join('');
    case 'choice':
      return write(node.options[choose(0, node.options.length - 1)] as Node, choose);
    case 'repeat':
      return Array.from({ length: choose(node.min, node.max) }, () => write(node.item, choose)).join('');
  }
}

class Reader {
  readonly #text: string;
  at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.at >= this.#text.length;
  }

  alternatives(): Node {
    const options = [this.#sequence()];
    while (this.#take('|')) options.push(this.#sequence());
    return options.length === 1 ? (options[0] as Node) : { kind: 'choice', options };
  }

  #sequence(): Node {
    const items: Node[] = [];
    while (!this.atEnd && this.#peek() !== '|' && this.#peek() !== ')') {
      if (this.#take('^') || this.#take('$')) continue;
      items.push(this.#repeated(this.#atom()));
    }
    return { kind: 'sequence', items };
  }

  #atom(): Node {
    if (this.#take('(')) {
      this.#takeText('?:');
      const inner = this.alternatives();
      this.#take(')');
      return inner;
    }
    if (this.#take('[')) return this.#class();
    if (this.#take('.')) return { kind: 'chars', ranges: ANY };
    return { kind: 'chars', ranges: this.#char() };
  }

  #class(): Node {
    const not = this.#take('^');
    const ranges: [number, number][] = [];
    while (!this.atEnd && !this.#take(']')) {
      const from = this.#char();
      const isRange = this.#peek() === '-' && this.#text[this.at + 1] !== ']' && from.length === 1;
      if (!isRange) {
        ranges.push(...from);
        continue;
      }
      this.at += 1;
      ranges.push([from[0]?.[0] ?? 0, this.#char()[0]?.[1] ?? 0]);
    }
    if (!not) return { kind: 'chars', ranges };
    const free = Array.from({ length: 95 }, (_, index) => index + 32).filter(
      (code) => !ranges.some(([low, high]) => code >= low && code <= high),
    );
    return { kind: 'chars', ranges: free.map((code) => [code, code]) };
  }

  #char(): [number, number][] {
    const isEscape = this.#take('\\');
    const char = this.#text[this.at++] ?? '';
    const named = isEscape ? CLASSES[char] : undefined;
    return named ?? [[char.charCodeAt(0), char.charCodeAt(0)]];
  }

  #repeated(item: Node): Node {
    if (this.#take('?')) return { kind: 'repeat', item, min: 0, max: 1 };
    if (this.#take('*')) return { kind: 'repeat', item, min: 0, max: OPEN_REPEAT };
    if (this.#take('+')) return { kind: 'repeat', item, min: 1, max: OPEN_REPEAT };
    const bounds = /^\{(\d+)(,?)(\d*)\}/.exec(this.#text.slice(this.at));
    if (!bounds) return item;
    this.at += bounds[0].length;
    const min = Number(bounds[1]);
    const open = Math.max(min, OPEN_REPEAT);
    return { kind: 'repeat', item, min, max: bounds[2] ? Number(bounds[3] || open) : min };
  }

  #peek(): string | undefined {
    return this.#text[this.at];
  }

  #take(char: string): boolean {
    return this.#takeText(char);
  }

  #takeText(text: string): boolean {
    if (!this.#text.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }
}
