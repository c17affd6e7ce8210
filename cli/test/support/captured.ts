import { run } from '../../src/run.ts';
import type { Terminal } from '../../src/terminal.ts';
import { masked } from './golden.ts';

export interface Captured {
  exitCode: number;
  stdout: string;
  stderr: string;
}

export interface Setting {
  kubeconfig: string;
  /** What a person would answer; without one nobody sits there. */
  answer?: string;
}

/** Runs the CLI as main.ts does, into strings. */
export async function capture(
  setting: Setting,
  args: readonly string[],
  more: Partial<Terminal> = {},
): Promise<Captured> {
  const { answer } = setting;
  const captured: Captured = { exitCode: 0, stdout: '', stderr: '' };
  const terminal: Terminal = {
    out: (text) => {
      captured.stdout += text;
    },
    say: (text) => {
      captured.stderr += text;
    },
    isScreen: false,
    hasColors: false,
    canAsk: answer !== undefined,
    ask: async (question) => {
      captured.stderr += question;
      return answer ?? '';
    },
    now: () => new Date(),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    ...more,
  };
  captured.exitCode = await run(args, terminal, {
    program: 'felucca',
    kubeconfig: setting.kubeconfig,
    home: '/nonexistent',
  });
  return captured;
}

/** As a person would see it: the command, its output, what it said beside it, how it ended. */
export function transcript(args: readonly string[], { stdout, stderr, exitCode }: Captured): string {
  const said = masked(stderr);
  const parts = [`$ felucca ${args.join(' ')}\n`, masked(stdout), ...(said ? ['--- stderr\n', said] : [])];
  return `${parts.join('')}--- exit code ${exitCode}\n`;
}
