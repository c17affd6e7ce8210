import type { Statement } from './tenant.ts';

/**
 * Several statements as one: to send, plan, start and answer a statement costs more than most of them do. Each of `parts`
 * has its name and runs whether or not `main` reads what it returns; none of them sees what another one writes.
 */
export function asOne(parts: Readonly<Record<string, Statement>>, main: Statement): Statement {
  const values: unknown[] = [];
  const renumbered = ({ text, values: own = [] }: Statement): string => {
    const before = values.length;
    values.push(...own);
    return text.replace(/\$(\d+)/g, (_, number) => `$${before + Number(number)}`);
  };
  const named = Object.entries(parts).map(([name, part]) => `${name} AS (${renumbered(part)})`);
  return { text: `WITH ${named.join(', ')} ${renumbered(main)}`, values };
}
