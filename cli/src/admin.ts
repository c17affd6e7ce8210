import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { EXIT } from './failure.ts';
import type { Terminal } from './terminal.ts';

const PROGRAM = 'felucca-admin';

/**
 * `felucca admin …` is a program of its own, found in PATH: it works on the control plane's database, of which this one
 * knows nothing, and only whoever runs that database has it.
 */
export async function runAdmin(words: readonly string[], terminal: Pick<Terminal, 'say'>): Promise<number> {
  const child = spawn(PROGRAM, words, { stdio: 'inherit' });
  try {
    const [code] = (await once(child, 'exit')) as [number | null];
    return code ?? EXIT.failed;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    terminal.say(`Error: ${PROGRAM} is not in PATH\n`);
    terminal.say('  it comes with the control plane: docs/runbooks/restore.md says how to get it\n');
    return EXIT.failed;
  }
}
