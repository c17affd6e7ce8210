import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';

const folder = join(import.meta.dirname, '../golden');

/** What differs from run to run, as a word that says what it was. */
export function masked(text: string): string {
  return (
    text
      .replace(/https:\/\/127\.0\.0\.1:\d+/g, '<server>')
      .replace(/http:\/\/[\d.]+:\d+/g, '<api>')
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>')
      .replace(/\d{8}T\d{9}Z/g, '<time>')
      .replace(/^Held {3,}.*$/gm, 'Held   <deletions>')
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uuid>')
      .replace(/(?<=[a-z0-9]-)[a-z0-9]{7,10}-[a-z0-9]{5}\b/g, '<pod>')
      .replace(/(?<=[a-z0-9]-)(?=[a-z0-9]*\d)[a-z0-9]{7,10}(?=[" \n])/g, '<hash>')
      .replace(/(?<![\w.])\d+(y|d|h|m|s)(\d+(h|m|s))?(?![\w.])/g, '<age>')
      .replace(/felucca-operator-\S+_[0-9a-f]{8}/g, '<operator>')
      .replace(/\bcli-\d+\b/g, '<context>')
      .replace(/(Warning .*? {3,})[1-9]\d*(?= {3,})/g, '$1<count>')
      .replace(/^waiting: .*\n/gm, '')
      .replace(/"count": [1-9]\d*/g, '"count": <count>')
      .replace(/epoch \S+, revision \d+/g, 'epoch <epoch>, revision <revision>')
      .replace(/revision \d+/g, 'revision <revision>')
      // Ages have no fixed width, and so the columns beside them have none.
      .replace(/(?<=[^\s│]) {3,}(?=[^\s└├│])/g, '   ')
  );
}

/** Compares with the file of this name; `GOLDEN=update` writes it. */
export function expectGolden(name: string, captured: string): void {
  const path = join(folder, `${name}.txt`);
  if (process.env['GOLDEN'] === 'update') {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, captured);
  }
  expect(captured, `golden file ${name}.txt; renew it with GOLDEN=update`).toBe(
    existsSync(path) ? readFileSync(path, 'utf8') : '',
  );
}
