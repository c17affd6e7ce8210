/** Value at quantile q of unsorted samples (nearest rank); NaN for none. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * q) - 1)] ?? Number.NaN;
}

/** Markdown table, as it goes into the README. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const width = header.map((cell, column) =>
    Math.max(cell.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(width[i] ?? 0)).join(' | ')} |`;
  return [line(header), line(width.map((n) => '-'.repeat(n))), ...rows.map(line)].join('\n');
}

export const ms = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
