import { type Command, CommanderError } from 'commander';
import { type CommonFlags, type Context, openContext } from './commands/context.ts';
import { complete } from './complete.ts';
import { EXIT, Failure } from './failure.ts';
import type { Surroundings } from './kube/connection.ts';
import { asFailure, KubeError } from './kube/errors.ts';
import { defineProgram, type Perform } from './program.ts';
import { withoutAges } from './show/age.ts';
import type { Terminal } from './terminal.ts';

export interface Around extends Surroundings {
  program: string;
}

const WATCH_MS = 2_000;

/** Runs one command and gives its exit code: 0 all is well, 1 something is wrong, 2 it could not be answered. */
export async function run(args: readonly string[], terminal: Terminal, around: Around): Promise<number> {
  let exitCode: number = EXIT.ok;
  const perform: Perform =
    (work) =>
    async (...given) => {
      const command = given.at(-1) as Command;
      const flags = command.optsWithGlobals<CommonFlags & { watch?: boolean }>();
      const [name] = command.processedArgs as (string | undefined)[];
      await inContext(flags, terminal, around, async (context) => {
        const once = (again: Context): Promise<number> => work(again, name, flags as never);
        if (flags.watch) await repeat(context, once);
        else exitCode = await once(context);
      });
    };
  const program = defineProgram(around.program, perform);
  // Commands inherit these when they are made, so each is told.
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ writeOut: terminal.out, writeErr: terminal.say });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    return report(error, terminal);
  }
}

/** The words that may come next, one a line, as kubectl asks its plugins for them. Silence is an answer, too. */
export async function runCompletion(
  words: readonly string[],
  terminal: Terminal,
  around: Around,
): Promise<number> {
  const program = defineProgram(around.program, () => async () => {});
  try {
    for (const word of await complete(program, words, (flags) => instanceNames(flags, terminal, around)))
      terminal.out(`${word}\n`);
  } catch {
    // Nobody reads an error here.
  }
  terminal.out(NO_FILES);
  return EXIT.ok;
}

/** Cobra's directive for "no file names". */
const NO_FILES = ':4\n';

async function instanceNames(
  flags: Partial<CommonFlags>,
  terminal: Terminal,
  around: Around,
): Promise<string[]> {
  const names: string[] = [];
  await inContext(
    { operatorNamespace: '', color: false, ...flags },
    terminal,
    around,
    async ({ kube, namespace }) => {
      for (const { metadata } of await kube.list('Instance', namespace))
        names.push(namespace === undefined ? `${metadata.namespace}/${metadata.name}` : metadata.name);
    },
  );
  return names;
}

async function inContext(
  flags: CommonFlags,
  terminal: Terminal,
  around: Around,
  work: (context: Context) => Promise<void>,
): Promise<void> {
  const context = await openContext(flags, terminal, around);
  try {
    await work(context);
  } catch (error) {
    throw error instanceof KubeError ? asFailure(error, context.kube.connection) : error;
  } finally {
    context.kube.close();
  }
}

/** Nobody foresaw it; whoever repairs it needs to know where. */
const OURS = 'this is a mistake in the CLI: report it with what follows';

function report(error: unknown, terminal: Terminal): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.failed;
  if (!(error instanceof Failure)) {
    terminal.say(`Error: ${error instanceof Error ? error.message : String(error)}\n  ${OURS}\n`);
    if (error instanceof Error) terminal.say(`${error.stack}\n`);
    return EXIT.failed;
  }
  terminal.say(`Error: ${error.message}\n`);
  if (error.remedy) terminal.say(`  ${error.remedy}\n`);
  return EXIT.failed;
}

/**
 * Draws a picture again when it has changed: in place on a screen, where ages go on; else one after the other, and then
 * an age alone is no change.
 */
async function repeat(context: Context, draw: (context: Context) => Promise<number>): Promise<void> {
  const { terminal } = context;
  let last = '';
  for (;;) {
    let picture = '';
    const canvas: Terminal = {
      ...terminal,
      out: (text) => {
        picture += text;
      },
    };
    await draw({ ...context, terminal: canvas });
    const shown = terminal.isScreen ? picture : withoutAges(picture);
    if (shown !== last) terminal.out(terminal.isScreen ? `\u001b[2J\u001b[H${picture}` : picture);
    last = shown;
    await terminal.sleep(WATCH_MS);
  }
}
