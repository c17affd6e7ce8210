import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { describe, expect, test } from 'vitest';
import { REASONS, type Reason } from './conditions.ts';
import { REMEDIES } from './remedies.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const documents = [
  '*.md',
  'docs/**/*.md',
  'bench/*.md',
  'contract/*.md',
  'crds/**/*.md',
  'helm/**/*.md',
].flatMap((pattern) => globSync(pattern, { cwd: root }));
const sources = globSync('{operator,control-api}/src/**/*.ts', { cwd: root }).filter(
  (path) => !path.endsWith('.test.ts'),
);

describe('the documents', () => {
  test.each(documents)('%s links only to files that exist', (path) => {
    const links = [...read(path).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map((match) => match[1]!)
      .filter((link) => !/^[a-z]+:/.test(link));
    expect(links.filter((link) => !existsSync(join(root, dirname(path), link)))).toEqual([]);
  });

  test('operations.md names every metric of ours, and the documents no other', () => {
    const roles = ['felucca_owner', 'felucca_app', 'felucca_feed'];
    const defined = new Set(
      sources
        .flatMap((path) => [...read(path).matchAll(/'(felucca_[a-z_]+)'/g)].map((match) => match[1]!))
        .filter((name) => !roles.includes(name)),
    );
    const told = (path: string): string[] =>
      [...read(path).matchAll(/`(felucca_[a-z_]+[a-z])`/g)].map((match) => match[1]!);
    expect([...defined].filter((name) => !told('docs/operations.md').includes(name))).toEqual([]);
    expect(documents.flatMap(told).filter((name) => !defined.has(name) && !roles.includes(name))).toEqual([]);
  });

  test('operations.md explains every reason of a condition, as the programs and the CLI do', () => {
    const lines = new Set(read('docs/operations.md').split('\n'));
    const rowOf = (reason: Reason): string => {
      const { text = '–', runbook } = REMEDIES[reason] ?? {};
      const link = runbook ? ` ([runbook](runbooks/${runbook}.md))` : '';
      return `| \`${reason}\` | ${REASONS[reason]} | ${text}${link} |`;
    };
    const rows = (Object.keys(REASONS) as Reason[]).map(rowOf);
    expect(rows.filter((row) => !lines.has(row))).toEqual([]);
  });
});
