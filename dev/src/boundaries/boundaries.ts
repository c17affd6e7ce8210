/** Who may import whom, and what: the law that the TypeScript references and this check hold together. */

export interface Workspace {
  /** Workspaces whose packages `src` may import; `tests` may import more. */
  readonly src: readonly string[];
  readonly tests: readonly string[];
  /** No clock, disk or network: of Node's built-ins only hashing. */
  readonly pure?: boolean;
}

export const law: Readonly<Record<string, Workspace>> = {
  contract: { src: [], tests: ['dev'], pure: true },
  'control-api': { src: ['contract'], tests: ['contract', 'dev'] },
  operator: { src: ['contract'], tests: ['contract', 'dev'] },
  cli: { src: ['contract'], tests: ['contract', 'dev'] },
  dev: { src: [], tests: [] },
  // The simulation plays both ends of the link against each other; the ledger has the data planes that the link is measured with.
  e2e: { src: ['dev'], tests: ['bench', 'contract', 'control-api', 'dev', 'operator'] },
  // Its agents are operators without a cluster: the link must be measured with the operator's own rules.
  bench: { src: ['contract', 'dev'], tests: ['contract', 'dev', 'operator'] },
};

const importPattern = /(?:\bfrom\s+|\bimport\s*\(?\s*)(['"])([^'"\n]+)\1/g;

/** What one file does against the law, as messages; empty when it keeps it. */
export function violationsOf(path: string, source: string): string[] {
  const [workspace = '', ...rest] = path.split('/');
  const rules = law[workspace];
  if (rules === undefined) return [];
  const isTest = rest[0] !== 'src' || /\.test\.ts$|-fixture\.ts$/.test(path);
  const violations: string[] = [];
  for (const [, , specifier = ''] of source.matchAll(importPattern)) {
    const problem = problemOf(specifier, path, workspace, rules, isTest);
    if (problem !== undefined) violations.push(`${path}: imports ${specifier}, but ${problem}`);
  }
  return violations;
}

function problemOf(
  specifier: string,
  path: string,
  workspace: string,
  rules: Workspace,
  isTest: boolean,
): string | undefined {
  if (specifier.startsWith('.')) {
    const target = new URL(specifier, `file:///${path}`).pathname.split('/')[1] ?? '';
    return target === workspace
      ? undefined
      : `a relative path must stay in ${workspace}/; import the package instead`;
  }
  const felucca = /^@felucca\/([^/]+)/.exec(specifier)?.[1];
  if (felucca !== undefined) {
    const allowed = isTest ? rules.tests : rules.src;
    if (felucca === workspace || allowed.includes(felucca)) return undefined;
    return `${workspace} may import ${allowed.join(', ') || 'no other workspace'}`;
  }
  if (rules.pure && !isTest && specifier.startsWith('node:') && specifier !== 'node:crypto')
    return `${workspace} is pure and does no I/O`;
  return undefined;
}
