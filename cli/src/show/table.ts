import { stripVTControlCharacters } from 'node:util';

const GAP = 3;

/** Columns as wide as their widest cell, as kubectl prints them. No cell is cut: a message is there to be read. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = header.length > 0 ? [header, ...rows] : rows;
  const widths: number[] = [];
  for (const row of all)
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, widthOf(cell));
  return all
    .map((row) =>
      row
        .map((cell, index) =>
          index === row.length - 1 ? cell : cell + ' '.repeat(widths[index]! - widthOf(cell) + GAP),
        )
        .join('')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** Characters on the screen: colours take no room. */
const widthOf = (cell: string): number => [...stripVTControlCharacters(cell)].length;
