import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleCli } from '../images/bundle.ts';
import { type Stack, type StackOptions, startStack } from '../stack/index.ts';
import { orderInstance, organization } from './order.ts';
import { DATABASE_URL_FILE, summary, web } from './summary.ts';
import { useDatabase } from './use-database.ts';

/** Starts the stack, orders a database, uses it, and returns what to stop in the end. */
export async function up(options: StackOptions & { signal: AbortSignal }): Promise<Stack> {
  const stack = await startStack(options);
  try {
    const outputs = await stack.phases.run('An order, hop by hop', (say) =>
      orderInstance(stack, say, options.signal),
    );
    if (stack.realContainers) {
      await stack.phases
        .run('The product in use', (say) => useDatabase(stack, outputs, say))
        // Whoever broke the example in an earlier run needs the stack to repair it.
        .catch((error: Error) =>
          stack.phases.say(
            `NOT DONE: ${error.message}. The stack stays up; see the Instance, or delete it through the API and run this again`,
          ),
        );
    } else {
      stack.phases.say(
        `NOT DONE: a query. Provider "${stack.provider}" runs no container; PROVIDER=nodes (Linux, root) or kind does`,
      );
    }
    const hasWeb = (await stack.api.find(`/v1/organizations/${organization}/instances/${web}`)) !== undefined;
    const cli = await bundleCli();
    writeAdmin(stack, dirname(cli));
    options.onProgress?.(summary(stack, cli, hasWeb));
    return stack;
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

const ADMIN = fileURLToPath(new URL('../../../control-api/src/admin/main.ts', import.meta.url));

/** `felucca admin` beside the CLI, and the embedded database's address in a file: what the runbooks need is to be tried here. */
function writeAdmin(stack: Stack, folder: string): void {
  const program = `#!/bin/sh\nexec '${process.execPath}' '${ADMIN}' "$@"\n`;
  writeFileSync(join(folder, 'felucca-admin'), program, { mode: 0o755 });
  const file = join(stack.stateDir, DATABASE_URL_FILE);
  if (stack.postgres.server) writeFileSync(file, stack.postgres.url, { mode: 0o600 });
  else rmSync(file, { force: true });
}
